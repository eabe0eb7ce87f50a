// Command kratos is an application of Kratos: a server that registers itself, and a client that
// discovers servers. What is written is Kratos' own ServiceInstance, and its client reads and calls
// it; where they are kept in etcd is not Kratos' code but registry.go. It is told where etcd is and
// the service's name, listens on a free port of 127.0.0.1, and says so on standard output. Then it
// does what it is told on standard input, one line each, and answers with one line; it ends when its
// standard input does.
//
//	add METADATA    starts the application, which registers itself: added ID
//	delete          stops it: deleted ID
//	list            what is discovered: found JSON
//	call            calls whom the client has discovered: called ADDRESS, or failed CODE
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/go-kratos/kratos/v2"
	"github.com/go-kratos/kratos/v2/log"
	transport "github.com/go-kratos/kratos/v2/transport/grpc"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// patience is how long one request may take.
const patience = 10 * time.Second

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "kratos:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 3 {
		return errors.New("usage: kratos ETCD SERVICE")
	}
	// It would write to standard error for each change.
	log.SetLogger(log.NewStdLogger(io.Discard))
	client, err := clientv3.New(clientv3.Config{
		Endpoints:   []string{os.Args[1]},
		DialTimeout: patience,
		Logger:      zap.NewNop(),
	})
	if err != nil {
		return err
	}
	user := &user{registry: newRegistry(client), service: os.Args[2]}
	user.server = transport.NewServer(transport.Address("127.0.0.1:0"))
	service := interop.NewTestServer(interop.NewTestServerOptions{})
	testgrpc.RegisterTestServiceServer(user.server, service)
	endpoint, err := user.server.Endpoint()
	if err != nil {
		return err
	}
	fmt.Println("listening", endpoint.Host)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		verb, rest, _ := strings.Cut(lines.Text(), " ")
		answer, err := user.do(verb, rest)
		if err != nil {
			return fmt.Errorf("%s: %w", verb, err)
		}
		fmt.Println(answer)
	}
	return lines.Err()
}

// user is who uses Kratos.
type user struct {
	registry *registry
	service  string
	server   *transport.Server
	app      *kratos.App
	channel  *grpc.ClientConn
}

func (u *user) do(verb, rest string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	switch verb {
	case "add":
		return u.add(ctx, rest)
	case "delete":
		return "deleted " + u.app.ID(), u.app.Stop()
	case "list":
		return u.list(ctx)
	case "call":
		return u.call(ctx)
	default:
		return "", errors.New("no such verb")
	}
}

func (u *user) add(ctx context.Context, text string) (string, error) {
	metadata := map[string]string{}
	if err := json.Unmarshal([]byte(text), &metadata); err != nil {
		return "", err
	}
	started := make(chan error, 1)
	u.app = kratos.New(
		kratos.Name(u.service),
		kratos.Version("v1.0.0"),
		kratos.Metadata(metadata),
		kratos.Server(u.server),
		kratos.Registrar(u.registry),
		kratos.AfterStart(func(context.Context) error {
			started <- nil
			return nil
		}),
	)
	go func() { started <- u.app.Run() }()
	select {
	case err := <-started:
		return "added " + u.app.ID(), err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func (u *user) list(ctx context.Context) (string, error) {
	found, err := u.registry.GetService(ctx, u.service)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(found)
	return "found " + string(text), err
}

func (u *user) call(ctx context.Context) (string, error) {
	if u.channel == nil {
		channel, err := transport.DialInsecure(
			ctx,
			transport.WithEndpoint("discovery:///"+u.service),
			transport.WithDiscovery(u.registry),
			transport.WithTimeout(patience),
		)
		if err != nil {
			return "", err
		}
		u.channel = channel
	}
	var server peer.Peer
	stub := testgrpc.NewTestServiceClient(u.channel)
	_, err := stub.EmptyCall(ctx, &testgrpc.Empty{}, grpc.Peer(&server))
	if err != nil {
		return "failed " + status.Code(err).String(), nil
	}
	return "called " + server.Addr.String(), nil
}
