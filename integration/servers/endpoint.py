"""What every S3 server of this folder answers when asked where it is: one value with the same names everywhere."""

import dataclasses
import os

ACCESS_KEY, SECRET_KEY, REGION = "AKIASLUICETEST000001", "sluice/Test+Secret/Key0000000000000000001", "us-east-1"


@dataclasses.dataclass(frozen=True)
class S3Endpoint:
    """An endpoint with its credentials. `name` says which server: weed, rclone, minio, external, s3_fault."""

    name: str
    url: str
    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY
    region: str = REGION
    session_token: str | None = None
    ca_file: str | None = None

    def environment(self):
        """AWS_* variables for a client that is to talk to this endpoint."""
        values = {"AWS_ENDPOINT_URL": self.url, "AWS_ACCESS_KEY_ID": self.access_key,
                  "AWS_SECRET_ACCESS_KEY": self.secret_key, "AWS_REGION": self.region,
                  "AWS_SESSION_TOKEN": self.session_token, "AWS_CA_BUNDLE": self.ca_file}
        return {name: value for name, value in values.items() if value}

    def lines(self):
        """`key=value` lines, as `serve start` prints them."""
        values = {"endpoint": self.url, "access_key": self.access_key, "secret_key": self.secret_key,
                  "region": self.region, "session_token": self.session_token, "ca_file": self.ca_file}
        return [f"{name}={value}" for name, value in values.items() if value]

    def client(self, **options):
        """A boto3 client for this endpoint: path style, no retries of its own unless `config` is given."""
        import boto3
        from botocore.config import Config
        config = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, signature_version="s3v4")
        if "config" in options:
            config = config.merge(options.pop("config"))
        return boto3.client(
            "s3", endpoint_url=self.url, region_name=self.region, aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key, aws_session_token=self.session_token,
            verify=self.ca_file, config=config, **options)

    def ensure_bucket(self, bucket):
        """Creates the bucket unless it is there."""
        client = self.client()
        if bucket not in [entry["Name"] for entry in client.list_buckets().get("Buckets", [])]:
            client.create_bucket(Bucket=bucket)


def external_endpoint(name="external", url=None):
    """The endpoint that the caller's AWS_* variables describe (`run --s3 URL`, or MinIO from docker-compose)."""
    return S3Endpoint(
        name, url or os.environ["AWS_ENDPOINT_URL"], os.environ["AWS_ACCESS_KEY_ID"],
        os.environ["AWS_SECRET_ACCESS_KEY"], os.environ.get("AWS_REGION", REGION),
        os.environ.get("AWS_SESSION_TOKEN"), os.environ.get("AWS_CA_BUNDLE"))
