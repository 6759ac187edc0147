"""S3's errors and the little XML that both the server and its faults write."""

from xml.sax.saxutils import escape

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


class S3Error(Exception):
    """An error answer. `fields` become further XML elements (Region, Endpoint, ...)."""

    def __init__(self, status, code, message="", fields=None, headers=None):
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code, self.message = status, code, message or code
        self.fields, self.headers = fields or {}, dict(headers or {})


def error_xml(code, message, fields=None, declaration=True):
    extra = "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in (fields or {}).items())
    head = '<?xml version="1.0" encoding="UTF-8"?>\n' if declaration else ""
    return (f"{head}<Error><Code>{code}</Code><Message>{escape(message)}</Message>{extra}"
            f"<RequestId>SLUICETEST</RequestId></Error>").encode()


def element(name, value=None, children=""):
    """One element: escaped text, or ready XML in `children`."""
    text = children if value is None else escape(str(value), {"\r": "&#13;"})
    return f"<{name}>{text}</{name}>"


def document(root, children):
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} xmlns="{NAMESPACE}">{children}</{root}>'.encode(
        "utf-8", "surrogateescape")


def parse_xml(body):
    """A request document as an ElementTree root with namespaces cut off."""
    from xml.etree import ElementTree
    try:
        root = ElementTree.fromstring(bytes(body))
    except ElementTree.ParseError as error:
        raise S3Error(400, "MalformedXML", f"The XML you provided was not well-formed: {error}") from error
    for node in root.iter():
        node.tag = node.tag.rpartition("}")[2]
    return root
