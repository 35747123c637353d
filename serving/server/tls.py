"""TLS for both ports, from TensorFlow Serving's SSLConfig."""

from __future__ import annotations

import ssl
import tempfile
from typing import NamedTuple

import grpc

from serving.errors import ServingError
from serving.server import protos
from serving.server.text_files import read_text_format


class Tls(NamedTuple):
    """What each port needs.

    Attributes:
      grpc: credentials of the gRPC server.
      http: context of the REST server.
      knows_clients: whether only clients with a certificate are let in.
    """

    grpc: grpc.ServerCredentials
    http: ssl.SSLContext
    knows_clients: bool


def read_tls(path: str) -> Tls:
    """TLS by a file: key, certificate, and with `client_verify` the authority of clients' certificates.

    Raises:
      ServingError: the file, its key or a certificate cannot be used.
    """
    given = read_text_format(path, protos.SSLConfig())
    for field in ("server_key", "server_cert", *(["custom_ca"] if given.client_verify else [])):
        if not getattr(given, field):
            raise ServingError(f"{path}: {field} is missing; it holds PEM text")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        with tempfile.NamedTemporaryFile("w") as pem:  # Only its owner can read it.
            pem.write(f"{given.server_key}\n{given.server_cert}\n")
            pem.flush()
            context.load_cert_chain(pem.name)
        if given.client_verify:
            context.load_verify_locations(cadata=given.custom_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except ssl.SSLError as error:
        raise ServingError(f"{path}: a key or certificate cannot be used: {error}") from error
    credentials = grpc.ssl_server_credentials(
        [(given.server_key.encode(), given.server_cert.encode())],
        given.custom_ca.encode() or None,
        given.client_verify,
    )
    return Tls(credentials, context, given.client_verify)
