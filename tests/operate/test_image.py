"""The final stage of deploy/Dockerfile, carried out in a fresh Debian: its packages, its user, its
program as process 1 with a read-only root, its health check. No container engine takes part, and
the first stage is not built: its program is the one under test."""

import os
import shutil
import signal
import subprocess
import uuid

import dockerfile
import pytest

from conftest import DEADLINE_S, ROOT, TARGET, free_port, get, wait_until

pytestmark = pytest.mark.long

# Debian without its documentation takes half of it; the rest is for what is installed.
IMAGE_BYTES_MAX = 250_000_000


def run(*command, **options) -> subprocess.CompletedProcess:
    """Runs a command to a good end."""
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=600, **options)
    assert done.returncode == 0, (words, done.stdout[-2000:], done.stderr[-2000:])
    return done


def debian() -> str:
    """Where this machine gets Debian's packages from."""
    asked = "Created-By: Packages", "Codename: bookworm", "Origin: Debian"
    return run("apt-get", "indextargets", "--format", "$(REPO_URI)", *asked).stdout.split()[0]


def base():
    """A fresh Debian 12, made once for this machine."""
    tree = TARGET / "image" / "bookworm"
    if not tree.exists():
        made = tree.with_suffix(".new")
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True)
        # What it mounts in the tree goes with it, however it ends.
        run("unshare", "--mount", "debootstrap", "--variant=minbase", "bookworm", made, debian())
        # What Debian's slim images leave out too.
        for name in "usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt/archives":
            shutil.rmtree(made / name)
        made.rename(tree)
    return tree


def final_stage() -> list:
    """Its instructions, as Docker's own parser reads them."""
    steps = dockerfile.parse_file(str(ROOT / "deploy/Dockerfile"))
    start = max(i for i, step in enumerate(steps) if step.cmd == "FROM")
    assert steps[start].value[0].startswith("debian:12.")
    return steps[start + 1:]


@pytest.fixture(scope="module")
def image(lifetide, tmp_path_factory):
    """The tree that the final stage makes, and what it says of how to run it."""
    assert os.geteuid() == 0, "a Debian tree is made as root"
    work = tmp_path_factory.mktemp("image")
    tree, said = work / "root", {}
    run("cp", "-a", "--reflink=auto", base(), tree)
    binary = work / "lifetide"
    run("strip", "--strip-debug", "-o", binary, lifetide)
    known = {"/out/lifetide": binary}
    (tree / "etc/resolv.conf").write_bytes(open("/etc/resolv.conf", "rb").read())
    for step in final_stage():
        match step.cmd:
            case "RUN":
                run("chroot", tree, "/bin/sh", "-c", *step.value)
            case "COPY":
                source, target = step.value
                if "--from=build" in step.flags:
                    source = known[source]
                else:
                    source = ROOT / source
                run("install", "-D", "-m", "755" if source == binary else "644", source,
                    f"{tree}{target}")
            case "LABEL" | "EXPOSE" | "USER" | "HEALTHCHECK" | "ENTRYPOINT" | "CMD":
                said[step.cmd] = list(step.value)
            case other:
                raise AssertionError(f"`{other}` of the Dockerfile is not known here")
    yield tree, said
    shutil.rmtree(work)


class Container:
    """The image's program as process 1 on a read-only root, in its own network unless told."""

    def __init__(self, image, log, command: list | None = None, env: dict | None = None,
                 own_network: bool = True):
        self.tree, self.said = image
        words = self.said["ENTRYPOINT"] + (command or self.said["CMD"])
        root = (
            'mount --bind "$0" "$0" && mount -t proc proc "$0/proc" && '
            'mount -o remount,bind,ro "$0" && { [ -z "$3" ] || ip link set lo up; } && '
            'user=$1 && tree=$0 && own=$3 && shift 3 && '
            'exec chroot --userspec="$user" "$tree" "$@"'
        )
        apart = ["--net"] if own_network else []
        clean = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", **(env or {})}
        with log.open("wb") as out:
            self.child = subprocess.Popen(
                ["unshare", "--mount", "--pid", *apart, "--fork", "--kill-child", "sh", "-c", root,
                 self.tree, self.said["USER"][0], "-", "yes" if own_network else "", *words],
                stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=clean,
            )
        self.log = log

    def pid(self) -> str:
        """The number of its process 1 outside, once the program runs in it."""
        def find():
            assert self.child.poll() is None, self.log.read_text()
            path = f"/proc/{self.child.pid}/task/{self.child.pid}/children"
            pids = open(path).read().split()
            runs = pids and os.readlink(f"/proc/{pids[0]}/exe").endswith("/lifetide")
            return runs and pids[0]

        return wait_until("process 1", find)

    def execute(self, words: list) -> int:
        """The exit code of a command inside, as the image's user."""
        user, group = self.said["USER"][0].split(":")
        inside = ["nsenter", "-t", self.pid(), "-m", "-n", "-p", f"--root=/proc/{self.pid()}/root",
                  "-S", user, "-G", group, "--", *words]
        return subprocess.run(inside, capture_output=True, timeout=DEADLINE_S).returncode

    def is_healthy(self) -> bool:
        kind, *words = self.said["HEALTHCHECK"]
        assert kind == "CMD"
        return self.execute(words) == 0

    def stop(self, number: int = signal.SIGTERM) -> int:
        os.kill(int(self.pid()), number)
        return self.child.wait(DEADLINE_S)


def test_the_image_is_small_and_its_program_finds_its_libraries(image):
    tree, said = image
    assert sum(map(int, run("du", "-sb", tree).stdout.split()[:1])) < IMAGE_BYTES_MAX
    assert "not found" not in run("chroot", tree, "ldd", "/usr/local/bin/lifetide").stdout
    assert said["USER"] == ["10001:10001"]


def test_it_runs_as_process_1_on_a_read_only_root_and_ends_on_sigterm(image, scratch):
    container = Container(image, scratch / "container.log", ["demo"])
    try:
        wait_until("health", container.is_healthy)
        status = open(f"/proc/{container.pid()}/status").read().splitlines()
        assert "Uid:\t10001\t10001\t10001\t10001" in status
        assert any(line.startswith("NSpid:") and line.split()[-1] == "1" for line in status)
        assert container.execute(["touch", "/var/lib/lifetide/x"]) != 0
        assert container.execute(["true"]) == 0
        assert container.stop() == 0, container.log.read_text()
    finally:
        container.child.kill()
        container.child.wait()


def test_the_health_check_fails_where_nothing_listens(image, scratch):
    container = Container(
        image, scratch / "elsewhere.log", ["demo", "--listen", "127.0.0.1:9465"]
    )
    try:
        listening = ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/9465"]
        wait_until("the other port", lambda: container.execute(listening) == 0)
        assert not container.is_healthy()
    finally:
        container.child.kill()
        container.child.wait()


def test_its_command_processes_on_a_broker(image, broker, scratch):
    listen = f"127.0.0.1:{free_port()}"
    env = {
        "LIFETIDE__KAFKA__BROKERS": broker,
        "LIFETIDE__KAFKA__GROUP_ID": f"image-{uuid.uuid4().hex[:8]}",
        "LIFETIDE__HTTP__LISTEN": listen,
    }
    topics = ["check", "--create-topics", "--config", image[1]["CMD"][-1]]
    check = Container(image, scratch / "check.log", topics, env, own_network=False)
    assert check.child.wait(DEADLINE_S) == 0, check.log.read_text()
    container = Container(image, scratch / "run.log", None, env, own_network=False)
    try:
        wait_until("the processor", lambda: get(f"http://{listen}/ready")[0] == 200)
        assert container.stop() == 0, container.log.read_text()
    finally:
        container.child.kill()
        container.child.wait()
