"""grpc.testing.TestService by gRPC's Python library, on a free port of 127.0.0.1, for one client: it
ends when its standard input does. It says on standard output where it listens, and then of each call
how it ended: its path and its code.

Its only argument is the folder that the proto files are in."""

import os
import pathlib
import sys
import tempfile
import threading
import time
from concurrent import futures

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_tools import protoc

SERVICE = "grpc.testing.TestService"
INITIAL = "x-grpc-test-echo-initial"
TRAILING = "x-grpc-test-echo-trailing-bin"
CODES = {code.value[0]: code for code in grpc.StatusCode}

lock = threading.Lock()


def say(*words):
    # In one piece, since calls end side by side.
    with lock:
        sys.stdout.write(" ".join(map(str, words)) + "\n")
        sys.stdout.flush()


class Messages:
    """The messages of the proto files, by their names.

    Not by modules that protoc generates: those would have to be in the package `grpc`, which is the
    library's."""

    def __init__(self, folder):
        with tempfile.TemporaryDirectory() as scratch:
            compiled = pathlib.Path(scratch, "descriptors")
            arguments = [f"-I{folder}", "--include_imports", f"--descriptor_set_out={compiled}"]
            if protoc.main(["protoc", *arguments, "grpc/testing/test.proto"]) != 0:
                sys.exit("the proto files cannot be compiled")
            files = descriptor_pb2.FileDescriptorSet.FromString(compiled.read_bytes())
        self.pool = descriptor_pool.DescriptorPool()
        for file in files.file:
            self.pool.Add(file)

    def __getattr__(self, name):
        descriptor = self.pool.FindMessageTypeByName(f"grpc.testing.{name}")
        return message_factory.GetMessageClass(descriptor)


class Service:
    def __init__(self, messages):
        self.messages = messages

    def empty_call(self, request, context):
        return self.messages.Empty()

    def unary_call(self, request, context):
        echo_metadata(context)
        echo_status(request, context)
        return self.messages.SimpleResponse(payload=self.payload(request.response_size))

    def streaming_output_call(self, request, context):
        echo_status(request, context)
        for parameters in request.response_parameters:
            time.sleep(parameters.interval_us / 1e6)
            payload = self.payload(parameters.size)
            yield self.messages.StreamingOutputCallResponse(payload=payload)

    def streaming_input_call(self, requests, context):
        size = sum(len(request.payload.body) for request in requests)
        return self.messages.StreamingInputCallResponse(aggregated_payload_size=size)

    def full_duplex_call(self, requests, context):
        echo_metadata(context)
        for request in requests:
            yield from self.streaming_output_call(request, context)

    def payload(self, size):
        return self.messages.Payload(body=bytes(size))

    def handler(self):
        messages = self.messages
        one, stream = messages.SimpleRequest, messages.StreamingOutputCallRequest
        methods = [
            ("EmptyCall", self.empty_call, messages.Empty, grpc.unary_unary_rpc_method_handler),
            ("UnaryCall", self.unary_call, one, grpc.unary_unary_rpc_method_handler),
            (
                "StreamingOutputCall",
                self.streaming_output_call,
                stream,
                grpc.unary_stream_rpc_method_handler,
            ),
            (
                "StreamingInputCall",
                self.streaming_input_call,
                messages.StreamingInputCallRequest,
                grpc.stream_unary_rpc_method_handler,
            ),
            ("FullDuplexCall", self.full_duplex_call, stream, grpc.stream_stream_rpc_method_handler),
        ]
        handlers = {
            name: handler(
                watched(f"/{SERVICE}/{name}", behaviour),
                request_deserializer=request.FromString,
                response_serializer=lambda response: response.SerializeToString(),
            )
            for name, behaviour, request, handler in methods
        }
        return grpc.method_handlers_generic_handler(SERVICE, handlers)


def echo_metadata(context):
    for key, value in context.invocation_metadata():
        if key == INITIAL:
            context.send_initial_metadata(((key, value),))
        if key == TRAILING:
            context.set_trailing_metadata(((key, value),))


def echo_status(request, context):
    if request.response_status.code != 0:
        context.abort(CODES[request.response_status.code], request.response_status.message)


def watched(path, behaviour):
    """The behaviour, whose calls say how they have ended."""

    def call(request, context):
        def over():
            # Nothing public tells: a caller that cancels may look like one that has said all.
            if context._state.client == "cancelled":
                code = grpc.StatusCode.CANCELLED
            else:
                code = context.code() or grpc.StatusCode.OK
            say("ended", path, code.value[0])

        if not context.add_callback(over):
            over()
        return behaviour(request, context)

    return call


def end_with_input():
    while sys.stdin.buffer.read(1024):
        pass
    os._exit(0)


def main():
    folder = sys.argv[1]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    server.add_generic_rpc_handlers((Service(Messages(folder)).handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    threading.Thread(target=end_with_input, daemon=True).start()
    server.start()
    say("listening", f"127.0.0.1:{port}")
    server.wait_for_termination()


main()
