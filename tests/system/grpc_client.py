#!/usr/bin/python3
"""The core calls with Debian's python3-grpcio; prints what came of them as JSON.

    grpc_client.py services VERIFY_PORT STATUS_PORT SECRET
    grpc_client.py interop PORT SECRET

The messages come from the .proto files, through a descriptor set that protoc writes.
"""
import json
import os
import subprocess
import sys
import tempfile

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
PROTOS = ["services/proto/message.proto", "services/proto/health.proto", "services/interop/testing.proto"]
SECONDS = 20


def load():
    """A pool with all of our .proto files."""
    pool = descriptor_pool.DescriptorPool()
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "set")
        subprocess.run(["protoc", "-I", ROOT, "-o", out] + PROTOS, cwd=ROOT, check=True)
        with open(out, "rb") as file:
            files = descriptor_pb2.FileDescriptorSet.FromString(file.read())
    for file in files.file:
        pool.Add(file)
    return pool


POOL = load()


def message_class(descriptor):
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)
    return message_factory.MessageFactory(POOL).GetPrototype(descriptor)


class Service:
    """Calls by name: Service(channel, "message.VarifyService", secret).call("GetVarifyCode", email="a@b.c")."""

    def __init__(self, channel, name, secret=None):
        self.channel = channel
        self.descriptor = POOL.FindServiceByName(name)
        self.secret = secret

    def method(self, name):
        method = self.descriptor.methods_by_name[name]
        request = message_class(method.input_type)
        reply = message_class(method.output_type)
        path = "/%s/%s" % (self.descriptor.full_name, name)
        return request, self.channel.unary_unary(path, request.SerializeToString, reply.FromString)

    def metadata(self, more=()):
        return ((("authorization", "Bearer " + self.secret),) if self.secret else ()) + tuple(more)

    def call(self, name, timeout=SECONDS, compression=None, **fields):
        request, stub = self.method(name)
        return stub(request(**fields), timeout=timeout, metadata=self.metadata(), compression=compression)

    def begin(self, name, **fields):
        request, stub = self.method(name)
        return stub.future(request(**fields), timeout=SECONDS, metadata=self.metadata())

    def with_call(self, name, message, more=()):
        _, stub = self.method(name)
        return stub.with_call(message, timeout=SECONDS, metadata=self.metadata(more))


def status_of(call, *args, **fields):
    """The status code's name of a call that fails; the beginning of its reply when it does not."""
    try:
        return "OK: %.200r" % call(*args, **fields)
    except grpc.RpcError as error:
        return error.code().name


def connect(port):
    return grpc.insecure_channel("127.0.0.1:%s" % port, options=[("grpc.enable_http_proxy", 0)])


def services(verify_port, status_port, secret):
    with connect(verify_port) as one, connect(status_port) as other:
        verify = Service(one, "message.VarifyService", secret)
        status = Service(other, "message.StatusService", secret)
        reply = verify.call("GetVarifyCode", email="python@example.com")
        chat = status.call("GetChatServer", uid=4711)
        logins = [chat.error, status.call("Login", uid=4711, token=chat.token).error,
                  status.call("Logout", uid=4711, token=chat.token).error,
                  status.call("Login", uid=4711, token=chat.token).error]
        unknown = one.unary_unary("/message.VarifyService/Nothing", lambda x: x, lambda x: x)
        calls = [verify.begin("GetVarifyCode", email="python%d@example.com" % i) for i in range(100)]
        health = Service(one, "grpc.health.v1.Health").call("Check")
        return {
            "health": type(health).DESCRIPTOR.fields_by_name["status"].enum_type.values_by_number[health.status].name,
            "code": reply.error == 0 and len(reply.code) == 6 and reply.code.isdigit() and reply.email == "python@example.com",
            "bad_email": verify.call("GetVarifyCode", email="nobody").error,
            "login": logins,
            "no_secret": status_of(Service(one, "message.VarifyService").call, "GetVarifyCode", email="a@example.com"),
            "wrong_secret": status_of(Service(one, "message.VarifyService", "x" + secret).call, "GetVarifyCode", email="a@example.com"),
            "unknown_method": status_of(unknown, b"", timeout=SECONDS, metadata=verify.metadata()),
            "too_large": status_of(verify.call, "GetVarifyCode", email="x" * 100000),
            "compressed": status_of(verify.call, "GetVarifyCode", compression=grpc.Compression.Gzip, email="z" * 250 + "@x"),
            "in_flight": sum(each.result().error == 0 for each in calls),
        }


def interop(port, secret):
    special = "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \U0001f608\t\n"
    with connect(port) as channel:
        test = Service(channel, "grpc.testing.TestService", secret)
        unary, _ = test.method("UnaryCall")
        large = unary(response_size=314159)
        large.payload.body = bytes(271828)
        reply, _ = test.with_call("UnaryCall", large)
        echo = unary(response_size=10)
        more = (("x-grpc-test-echo-initial", "test_initial_metadata_value"),
                ("x-grpc-test-echo-trailing-bin", b"\x0a\x0b\x0a\x0b\x0a\x0b"))
        _, call = test.with_call("UnaryCall", echo, more)
        late = [status_of(stub, large, timeout=0.001, metadata=test.metadata()) for stub in [test.method("UnaryCall")[1]] * 20]
        errors = []
        for code, text in ((2, "test status message"), (2, special)):
            failing = unary()
            failing.response_status.code = code
            failing.response_status.message = text
            try:
                test.with_call("UnaryCall", failing)
            except grpc.RpcError as error:
                errors.append([error.code().name, error.details()])
        nothing = channel.unary_unary("/grpc.testing.UnimplementedService/UnimplementedCall", lambda x: x, lambda x: x)
        return {
            "empty_unary": len(test.call("EmptyCall").SerializeToString()),
            "large_unary": [len(reply.payload.body), not any(reply.payload.body)],
            "initial": dict(call.initial_metadata()).get("x-grpc-test-echo-initial"),
            "trailing": dict(call.trailing_metadata()).get("x-grpc-test-echo-trailing-bin", b"").hex(),
            "late": all(each[:9] in ("DEADLINE_", "CANCELLED") or each.startswith("OK") for each in late),
            "errors": errors,
            "unimplemented_method": status_of(channel.unary_unary("/grpc.testing.TestService/UnimplementedCall", lambda x: x, lambda x: x),
                                              b"", timeout=SECONDS, metadata=test.metadata()),
            "unimplemented_service": status_of(nothing, b"", timeout=SECONDS, metadata=test.metadata()),
        }


if __name__ == "__main__":
    os.environ.pop("http_proxy", None)
    print(json.dumps({"services": services, "interop": interop}[sys.argv[1]](*sys.argv[2:])))
