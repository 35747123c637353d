"""TLS and mutual TLS on both ports, with an authority of our own."""

import datetime
import ipaddress
import ssl

import grpc
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tensorflow_serving.apis import get_model_status_pb2, model_management_pb2, model_service_pb2_grpc

from serving.errors import ServingError
from serving.server.tls import read_tls
from tests.serving.conftest import LONG_SECONDS, export, serving


def certificate(name, issuer=None):
    """A new key and its certificate as PEM, signed by `issuer`'s or by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    authority, authority_key = issuer or (subject, key)
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder(authority, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(
        now + datetime.timedelta(days=9)
    )
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    basic = x509.BasicConstraints(ca=issuer is None, path_length=None)
    signed = builder.add_extension(names, False).add_extension(basic, True).sign(authority_key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return (subject, key), private.decode(), signed.public_bytes(pem).decode()


def field(name, text):
    return f"{name}: " + " ".join(f'"{line}\\n"' for line in text.splitlines()) + "\n"


class Paths:
    def __init__(self, directory):
        authority, _, self.ca_pem = certificate("authority")
        _, self.server_key, self.server_pem = certificate("server", authority)
        _, self.client_key, self.client_pem = certificate("client", authority)
        for name in ("ca_pem", "client_pem", "client_key"):
            (directory / name).write_text(getattr(self, name))
        plain = field("server_key", self.server_key) + field("server_cert", self.server_pem)
        self.plain, self.mutual = directory / "plain", directory / "mutual"
        self.plain.write_text(plain)
        self.mutual.write_text(plain + field("custom_ca", self.ca_pem) + "client_verify: true")
        self.ca, self.client = str(directory / "ca_pem"), (str(directory / "client_pem"), str(directory / "client_key"))


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tls")
    export(directory / "models" / "1")
    found = Paths(directory)
    found.models = directory / "models"
    return found


def channel(server, paths, with_client=False):
    given = (paths.client_key.encode(), paths.client_pem.encode()) if with_client else (None, None)
    credentials = grpc.ssl_channel_credentials(paths.ca_pem.encode(), *given)
    return grpc.secure_channel(f"127.0.0.1:{server.grpc_port}", credentials)


def model_state(channel):
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "toy"
    stub = model_service_pb2_grpc.ModelServiceStub(channel)
    return stub.GetModelStatus(request, timeout=LONG_SECONDS).model_version_status[0].state


def reload(channel, paths):
    request = model_management_pb2.ReloadConfigRequest()
    request.config.model_config_list.config.add(name="toy", base_path=str(paths.models))
    stub = model_service_pb2_grpc.ModelServiceStub(channel)
    return stub.HandleReloadConfigRequest(request, timeout=LONG_SECONDS).status.error_code


def https(server):
    return server.url().replace("http:", "https:")


def test_tls_on_both_ports_and_nobody_unknown_changes_the_models(paths):
    with serving(paths.models, "--ssl_config_file", paths.plain) as server:
        answer = requests.post(f"{https(server)}:predict", json={"instances": ["1"]}, verify=paths.ca)
        assert answer.json() == {"predictions": ["hello 1"]}
        with pytest.raises(requests.ConnectionError):
            requests.get(server.url())
        with channel(server, paths) as secure:
            assert model_state(secure) == 30
            with pytest.raises(grpc.RpcError, match="needs a client certificate") as error:
                reload(secure, paths)
            assert error.value.code() is grpc.StatusCode.PERMISSION_DENIED
        with server.channel() as insecure, pytest.raises(grpc.RpcError):
            model_state(insecure)


def test_mutual_tls_lets_in_who_has_a_certificate(paths):
    with serving(paths.models, "--ssl_config_file", paths.mutual) as server:
        with pytest.raises((requests.exceptions.SSLError, requests.ConnectionError)):
            requests.get(https(server), verify=paths.ca)
        assert requests.get(https(server), verify=paths.ca, cert=paths.client).ok
        with channel(server, paths) as unknown, pytest.raises(grpc.RpcError):
            model_state(unknown)
        with channel(server, paths, with_client=True) as known:
            assert model_state(known) == 30
            assert reload(known, paths) == 0


def test_changing_the_models_can_be_switched_off(paths):
    with serving(paths.models, "--enable_config_reload=false") as server, server.channel() as open_channel:
        assert model_state(open_channel) == 30
        with pytest.raises(grpc.RpcError, match="is switched off"):
            reload(open_channel, paths)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "server_key is missing"),
        (field("server_key", "x") + field("server_cert", "y"), "a key or certificate cannot be used"),
        ('key: "x"', "Error parsing text-format tensorflow.serving.SSLConfig"),
    ],
)
def test_what_cannot_be_used_is_said(tmp_path, text, message):
    (tmp_path / "ssl").write_text(text)
    with pytest.raises(ServingError, match=message):
        read_tls(str(tmp_path / "ssl"))


def test_mutual_tls_needs_an_authority(paths, tmp_path):
    (tmp_path / "ssl").write_text(paths.plain.read_text() + "client_verify: true")
    with pytest.raises(ServingError, match="custom_ca is missing"):
        read_tls(str(tmp_path / "ssl"))
    assert read_tls(str(paths.mutual)).http.verify_mode is ssl.CERT_REQUIRED
