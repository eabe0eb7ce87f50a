// Command interop-server is grpc-go's interop server on a free port of 127.0.0.1, for one client:
// it ends when its standard input does. It says on standard output where it listens, and then of
// each call how it ended: its path and its code. On its standard input it is told what its health
// service says, in lines of a service and the number of its status.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/interop"
	"google.golang.org/grpc/status"

	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "interop-server:", err)
		os.Exit(1)
	}
}

func run() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	healths := health.NewServer()
	go func() {
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			var service string
			var status healthgrpc.HealthCheckResponse_ServingStatus
			if _, err := fmt.Sscan(lines.Text(), &service, &status); err == nil {
				healths.SetServingStatus(service, status)
			}
		}
		// Whatever ended it: nobody is left to serve.
		os.Exit(0)
	}()
	server := grpc.NewServer(
		grpc.UnaryInterceptor(unary),
		grpc.StreamInterceptor(stream),
	)
	service := interop.NewTestServer(interop.NewTestServerOptions{})
	testgrpc.RegisterTestServiceServer(server, service)
	healthgrpc.RegisterHealthServer(server, healths)
	fmt.Println("listening", listener.Addr())
	return server.Serve(listener)
}

func unary(
	ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler,
) (any, error) {
	response, err := handle(ctx, request)
	report(info.FullMethod, err)
	return response, err
}

func stream(
	service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler,
) error {
	err := handle(service, stream)
	report(info.FullMethod, err)
	return err
}

// report writes one line, in one piece, since calls end side by side.
func report(method string, err error) {
	code := status.Code(err)
	if errors.Is(err, context.Canceled) {
		code = codes.Canceled
	}
	_, _ = os.Stdout.WriteString(fmt.Sprintf("ended %s %d\n", method, code))
}
