"""The AWS playbooks against a server that speaks EC2's protocol: made, made again, predicted, torn down."""

from __future__ import annotations

import base64
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from deploy.host import TOOLS, debian_host, poll
from deploy.tools import ROOT, need, tool
from deploy.tree import run
from support.absent import absent

pytestmark = pytest.mark.deploy

OFFICE = "198.51.100.0/24"
ACCOUNT = "123456789012"


@dataclass(frozen=True)
class Cloud:
    """The stand-in for EC2, asked with Amazon's own client."""

    client: Any
    home: Path
    environment: dict[str, str]

    def play(self, playbook: str, *options: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        given = ("aws_repository=https://example.org/leaderboard.git", f"aws_image_owner={ACCOUNT}")
        extra = [word for pair in given for word in ("-e", pair)]
        lists = ("-e", f'{{"aws_ssh_networks": ["{OFFICE}"]}}')
        command = (tool("ansible-playbook", "ansible"), "-i", "localhost,", playbook, *extra, *lists, *options)
        return run(*command, check=check, cwd=ROOT / "ansible", env=self.environment, stdin=subprocess.DEVNULL)

    def vpcs(self) -> list[dict[str, Any]]:
        return list(self.client.describe_vpcs(Filters=[{"Name": "tag:Project", "Values": ["leaderboard"]}])["Vpcs"])

    def instances(self) -> list[dict[str, Any]]:
        wanted = [{"Name": "instance-state-name", "Values": ["running"]}]
        found = self.client.describe_instances(Filters=wanted)["Reservations"]
        return [instance for reservation in found for instance in reservation["Instances"]]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    try:
        import boto3
        import moto  # noqa: F401
    except ImportError:
        absent("moto and boto3 are not installed (pip install -e '.[deploy]')")
    home = tmp_path_factory.mktemp("aws")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "eu-central-1"}
    environment = (
        os.environ
        | keys
        | {
            "AWS_URL": url,
            "AWS_ENDPOINT_URL": url,
            "NO_PROXY": "127.0.0.1",
            "ANSIBLE_CONFIG": str(ROOT / "ansible/ansible.cfg"),
            "ANSIBLE_HOME": str(home),
            "NO_COLOR": "1",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
    )
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with open(home / "server.log", "wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=os.environ | keys)
        try:

            def listening() -> bool | None:
                with socket.socket() as probe:
                    return True if probe.connect_ex(("127.0.0.1", port)) == 0 else None

            poll(listening, "the stand-in for EC2", 30)
            client = boto3.client(
                "ec2",
                "eu-central-1",
                endpoint_url=url,
                aws_access_key_id="testing",
                aws_secret_access_key="testing",
            )
            yield Cloud(client, home, environment)
        finally:
            server.terminate()
            server.wait(30)


def test_without_images_nothing_is_made(cloud: Cloud) -> None:
    done = cloud.play("provision_aws.yml", "-e", "aws_image_name=debian-0-*", check=False)
    assert done.returncode != 0
    assert "has no image debian-0-*" in done.stdout
    assert not cloud.vpcs()


def test_ssh_from_everywhere_is_refused(cloud: Cloud) -> None:
    done = cloud.play("provision_aws.yml", "-e", '{"aws_ssh_networks": ["0.0.0.0/0"]}', check=False)
    assert done.returncode != 0
    assert not cloud.vpcs()


def test_check_mode_makes_nothing(cloud: Cloud) -> None:
    seed = cloud.client.run_instances(
        ImageId=cloud.client.describe_images()["Images"][0]["ImageId"], MinCount=1, MaxCount=1
    )
    parent = seed["Instances"][0]["InstanceId"]
    names = ("debian-12-amd64-20260101-1", "debian-12-amd64-20260301-2")
    for name in names:
        cloud.client.create_image(InstanceId=parent, Name=name)
    cloud.client.terminate_instances(InstanceIds=[parent])
    cloud.play("provision_aws.yml", "--check")
    assert not cloud.vpcs()
    assert not cloud.instances()


def test_everything_is_made_as_described(cloud: Cloud) -> None:
    cloud.play("provision_aws.yml")
    (vpc,) = cloud.vpcs()
    (instance,) = cloud.instances()
    assert instance["VpcId"] == vpc["VpcId"]
    assert instance["PublicIpAddress"]
    image = cloud.client.describe_images(ImageIds=[instance["ImageId"]])["Images"][0]
    assert image["Name"] == "debian-12-amd64-20260301-2"
    (group,) = instance["SecurityGroups"]
    rules = cloud.client.describe_security_groups(GroupIds=[group["GroupId"]])["SecurityGroups"][0]["IpPermissions"]
    opened = {(rule["FromPort"], entry["CidrIp"]) for rule in rules for entry in rule["IpRanges"]}
    assert opened == {(443, "0.0.0.0/0"), (22, OFFICE)}
    tables = cloud.client.describe_route_tables(
        Filters=[{"Name": "association.subnet-id", "Values": [instance["SubnetId"]]}]
    )["RouteTables"]
    routes = {route.get("GatewayId") for table in tables for route in table["Routes"]}
    assert any(str(gateway).startswith("igw-") for gateway in routes)


def test_the_inventory_finds_the_instance(cloud: Cloud) -> None:
    (instance,) = cloud.instances()
    shown = '{"msg": "{{ ansible_host }} {{ ansible_user }} {{ ansible_become }}"}'
    for group in ("postgres", "redis", "api", "relay", "proxy"):
        command = (tool("ansible", "ansible"), "-i", "inventory/aws_ec2.yml", group, "-m", "debug", "-a", shown)
        done = run(*command, cwd=ROOT / "ansible", env=cloud.environment, stdin=subprocess.DEVNULL)
        assert re.findall(r"^(\w+) \| SUCCESS", done.stdout, re.MULTILINE) == ["leaderboard"]
        assert f"{instance['PublicIpAddress']} admin True" in done.stdout


def test_a_second_run_changes_nothing(cloud: Cloud) -> None:
    before = [instance["InstanceId"] for instance in cloud.instances()]
    assert "changed=0 " in cloud.play("provision_aws.yml").stdout
    assert [instance["InstanceId"] for instance in cloud.instances()] == before


@pytest.mark.full
def test_the_instances_user_data_ends_in_a_running_service(cloud: Cloud, tmp_path: Path) -> None:
    need(*TOOLS, "git")
    # Whatever is in the working tree, as a repository that the host can clone.
    source = shutil.copytree(
        ROOT, tmp_path / "source", ignore=shutil.ignore_patterns(".*", "__pycache__", "*.so", "build")
    )
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    for words in (("init", "-q", "-b", "main"), ("add", "-A"), (*identity, "commit", "-q", "-m", "release")):
        run("git", "-C", source, *words)
    variables = '{"aws_site_variables": {"redis_overcommit": false}, "aws_client_ports": [80, 443]}'
    named = ("-e", "aws_name=trial", "-e", "aws_repository=/srv/leaderboard.git", "-e", variables)
    cloud.play("provision_aws.yml", *named)
    (instance,) = [found for found in cloud.instances() if {"Key": "Name", "Value": "trial"} in found["Tags"]]
    given = cloud.client.describe_instance_attribute(InstanceId=instance["InstanceId"], Attribute="userData")
    (group,) = cloud.client.describe_security_groups(GroupIds=[instance["SecurityGroups"][0]["GroupId"]])[
        "SecurityGroups"
    ]
    assert {rule["FromPort"] for rule in group["IpPermissions"]} == {80, 443, 22}
    script = base64.b64decode(given["UserData"]["Value"])
    cloud.play("teardown_aws.yml", *named, "-e", "aws_confirm=trial")
    with debian_host(tmp_path) as host:
        run("git", "clone", "-q", "--bare", source, host.root / "srv/leaderboard.git")
        run("chown", "-R", "root:root", host.root / "srv/leaderboard.git")
        (host.root / "root/user-data").write_bytes(script)
        done = host.ssh("bash /root/user-data", check=False)
        assert done.returncode == 0, host.ssh("tail -50 /var/log/leaderboard-install.log").stdout
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        with opener.open(f"https://{host.address}/readyz", timeout=10) as answer:
            assert answer.status == 200


def test_teardown_asks_for_the_name_and_leaves_nothing(cloud: Cloud) -> None:
    refused = cloud.play("teardown_aws.yml", check=False)
    assert refused.returncode != 0
    assert len(cloud.vpcs()) == len(cloud.instances()) == 1
    cloud.play("teardown_aws.yml", "-e", "aws_confirm=leaderboard")
    assert not cloud.vpcs()
    assert not cloud.instances()
    assert "changed=0 " in cloud.play("teardown_aws.yml", "-e", "aws_confirm=leaderboard").stdout
