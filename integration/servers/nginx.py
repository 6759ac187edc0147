"""nginx over one directory, plain and with TLS at the same time: the good web origin for tests, demo and bench."""

import os
import shutil
import subprocess
import tempfile

from .process import Child, answers, free_ports, wait_until
from .tls import Authority

CONFIGURATION = """\
daemon off;
{user}
worker_processes {workers};
pid {directory}/nginx.pid;
error_log {directory}/error.log warn;
events {{ worker_connections 1024; }}
http {{
    log_format counted '$request_method\\t$request_uri\\t$status\\t$body_bytes_sent\\t$http_range\\t$connection';
    access_log {directory}/access.log counted;
    default_type application/octet-stream;
    sendfile on;
    tcp_nopush on;
    keepalive_timeout 65;
    keepalive_requests 100000;
    client_body_temp_path {directory}/tmp;
    proxy_temp_path {directory}/tmp;
    fastcgi_temp_path {directory}/tmp;
    uwsgi_temp_path {directory}/tmp;
    scgi_temp_path {directory}/tmp;
    server {{
        listen 127.0.0.1:{port} reuseport;
        listen 127.0.0.1:{tls_port} ssl reuseport;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.2 TLSv1.3;
        root {root};
        autoindex on;
        {locations}
    }}
}}
"""


class Nginx:
    """`with Nginx(root=DIR) as nginx:`; `nginx.url` (http), `nginx.tls_url` (https), `nginx.ca_file`.

    `nginx.log()` is the access log as dicts (method, uri, status, bytes, range, connection), flushed per
    request by nginx when the response ended. `locations`: more lines for the server block.
    """

    def __init__(self, root=None, authority=None, workers=2, directory=None, die_with_parent=True, locations=""):
        self.own_directory = directory is None
        self.directory = directory or tempfile.mkdtemp(prefix="sluice-nginx-")
        os.makedirs(self.directory, exist_ok=True)
        # Workers run as another user when the master is root; they must reach the root below.
        os.chmod(self.directory, 0o755)
        self.root = root or os.path.join(self.directory, "root")
        os.makedirs(self.root, exist_ok=True)
        self.authority = authority or Authority(self.directory)
        self.ca_file = self.authority.ca_file
        self.workers = workers
        self.locations = locations
        self.die_with_parent = die_with_parent
        self.child = None

    def start(self):
        os.makedirs(os.path.join(self.directory, "tmp"), exist_ok=True)
        port, tls_port = free_ports(2)
        certificate, key = self.authority.certificate_files()
        config = os.path.join(self.directory, "nginx.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write(CONFIGURATION.format(
                user="user root;" if os.geteuid() == 0 else "", directory=self.directory, root=self.root,
                workers=self.workers, locations=self.locations, port=port, tls_port=tls_port, certificate=certificate, key=key))
        self.url, self.tls_url = f"http://127.0.0.1:{port}", f"https://127.0.0.1:{tls_port}"
        binary = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
        if binary is None:
            raise FileNotFoundError("nginx is not installed: run integration/setup.sh")
        check = subprocess.run([binary, "-t", "-q", "-c", config, "-p", self.directory],
                               capture_output=True, text=True, check=False)
        if check.returncode:
            raise RuntimeError(f"nginx refuses its configuration: {check.stderr}")
        self.child = Child([binary, "-c", config, "-p", self.directory],
                           os.path.join(self.directory, "nginx.log"), self.die_with_parent, death_signal="TERM")
        wait_until(lambda: answers(self.url + "/"), "nginx", 15, self.child)
        return self

    def log(self):
        path = os.path.join(self.directory, "access.log")
        if not os.path.exists(path):
            return []
        entries = []
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                method, uri, status, sent, ranged, connection = line.rstrip("\n").split("\t")
                entries.append({"method": method, "uri": uri, "status": int(status), "bytes": int(sent),
                                "range": None if ranged == "-" else ranged, "connection": int(connection)})
        return entries

    def stop(self):
        if self.child:
            self.child.stop()
        if self.own_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
