"""What peers have in common: engines in this process, readers of files, servers of their own."""

import ctypes
import http.client
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from contextlib import closing, contextmanager
from importlib.metadata import version
from pathlib import Path
from queue import Empty, SimpleQueue

import pyarrow.parquet as pq

import machine
import queries

RECORDS = ["operations", "counts", "states", "measurements", "materials"]
PR_SET_PDEATHSIG = 1


class Peer:
    """An engine in this process, whose client is part of it."""

    durable = "none"  # or fsync: what has happened to a batch when its answer comes; files: nothing is sent
    package = None  # on PyPI
    dialect = None

    def __init__(self, settings, parameters):
        self.settings, self.parameters = settings, parameters
        self.data = Path(settings.scratch) / "data" / settings.size
        self.folder = Path(settings.scratch) / settings.size / self.name()
        self.client_s = 0

    @classmethod
    def name(cls):
        return cls.__name__.lower()

    @classmethod
    def missing(cls, settings):
        """What has to be installed first, if anything."""
        if cls.package and not importlib.util.find_spec(cls.package):
            return f"no Python package {cls.package}: pip install -r benches/peers/requirements.txt"

    def version(self):
        return version(self.package)

    @contextmanager
    def running(self):
        try:
            self.start()
            yield self
        finally:
            self.stop()

    def start(self):
        pass

    def stop(self):
        pass

    def clear(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def forget(self):
        machine.forget(self.folder)

    def cpu_s(self):
        return time.process_time() - self.client_s

    def peak_mb(self):
        return machine.peak_mb(os.getpid())

    def slabs(self):
        """The samples as they arrive. To read them is the client's work, on one thread."""
        file = pq.ParquetFile(self.data / "samples.parquet")
        for group in range(file.num_row_groups):
            began = time.thread_time()
            slab = file.read_row_group(group, use_threads=False)
            self.client_s += time.thread_time() - began
            yield slab

    def load(self, batch_rows):
        """Takes everything in; wall and CPU seconds of the samples, and CPU seconds of settling them."""
        self.create()
        wall, before = 0, self.cpu_s()
        for slab in self.slabs():
            batches = self.prepare(slab, batch_rows)
            began = time.perf_counter()
            self.send(batches)
            wall += time.perf_counter() - began
        cpu, before = self.cpu_s() - before, self.cpu_s()
        self.settle()
        settle = self.cpu_s() - before
        self.records()
        return wall, cpu, settle

    def create(self):
        """What must be there before the samples."""

    def prepare(self, slab, batch_rows):
        return [slab.slice(start, batch_rows) for start in range(0, slab.num_rows, batch_rows)]

    def send(self, batches):
        raise NotImplementedError

    def settle(self):
        pass

    def records(self):
        """All that is not samples."""

    def bytes(self):
        """Of the samples, settled."""
        return machine.bytes_in(self.folder)

    def questions(self):
        """What can be asked; a question that cannot be put to the engine is not in it."""
        return queries.questions(self.dialect, self.parameters)

    def ask(self, question):
        """The answer as the engine gives it."""
        raise NotImplementedError

    def rows(self, answer, question):
        """The same as rows, after the clock has stopped."""
        return list(zip(*(column.to_pylist() for column in answer.columns)))


class Files(Peer):
    """A reader of the sorted Parquet files, which are there already."""

    durable = "files"

    def clear(self):
        pass

    def forget(self):
        machine.forget(self.data)

    def load(self, batch_rows):
        return None

    def bytes(self):
        return (self.data / "samples_sorted.parquet").stat().st_blocks * 512


class Server(Peer):
    """A server of its own, started and ended here, that takes batches over some connections."""

    program = None
    install = None
    ends_with = signal.SIGTERM
    connections = 4
    process = None

    @classmethod
    def missing(cls, settings):
        if not shutil.which(cls.program):
            return f"no program {cls.program}: {cls.install}"
        return super().missing(settings)

    def free_port(self):
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            return bound.getsockname()[1]

    def spawn(self, command, ready, cwd=None, user=None):
        # It ends with this process, however that ends.
        libc, us = ctypes.CDLL(None), os.getpid()
        with_us = lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM) or os.getppid() == us or os._exit(1)
        log = self.folder.parent / f"{self.name()}.log"
        owner = {"user": user, "group": user, "extra_groups": []} if user else {}
        with open(log, "ab") as out:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=cwd or self.folder,
                                            preexec_fn=with_us, start_new_session=True, **owner)
        deadline = time.monotonic() + 120
        while True:
            if self.process.poll() is not None:
                raise RuntimeError(f"{command[0]} ended with {self.process.returncode}; see {log}")
            try:
                return ready()
            except Exception:  # not up yet
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def stop(self):
        if self.process:
            process, self.process = self.process, None
            process.send_signal(self.ends_with)
            try:
                process.wait(300)
            except BaseException:
                process.kill()
                process.wait()
                raise

    def cpu_s(self):
        return machine.cpu_s(self.process.pid)

    def peak_mb(self):
        return machine.peak_mb(self.process.pid)

    def quiet(self, seconds=3, limit=600):
        """Waits until the server has had nothing to do for some seconds."""
        still, deadline = 0, time.monotonic() + limit
        while still < seconds:
            if time.monotonic() > deadline:
                raise TimeoutError(f"still at work after {limit} s")
            before = self.cpu_s(), machine.bytes_in(self.folder)
            time.sleep(1)
            now = self.cpu_s(), machine.bytes_in(self.folder)
            still = still + 1 if now[0] - before[0] < 0.05 and now[1] == before[1] else 0

    def connect(self):
        """A connection of its own, as a context: a function that sends one prepared batch."""
        raise NotImplementedError

    def send(self, batches):
        queue, errors = SimpleQueue(), []
        for batch in batches:
            queue.put(batch)

        def work():
            try:
                with self.connect() as post:
                    while True:
                        post(queue.get_nowait())
            except Empty:
                pass
            except Exception as error:  # told below, on the thread that waits
                errors.append(error)

        threads = [threading.Thread(target=work) for _ in range(self.connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]


def request(port, method, path, body=None, connection=None):
    connection = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    connection.request(method, path, body)
    answer = connection.getresponse()
    said = answer.read()
    if answer.status >= 300:
        raise RuntimeError(f"{answer.status} {said[:300]!r}")
    return said


@contextmanager
def poster(port, path):
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=600)) as connection:
        yield lambda body: request(port, "POST", path, body, connection)
