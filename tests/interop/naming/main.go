// Command naming is a user of etcd's own Go client for naming: a server that registers itself by
// go.etcd.io/etcd/client/v3/naming/endpoints, and a client that finds servers by the resolver beside
// it. It is told where etcd is and the service's name, listens on a free port of 127.0.0.1, and says
// so on standard output. Then it does what it is told on standard input, one line each, and answers
// with one line; it ends when its standard input does.
//
//	add METADATA     registers it under a lease: added KEY
//	delete           takes it out: deleted KEY
//	list             what the manager finds: found JSON
//	call             calls whom the resolver has found: called ADDRESS, or failed CODE
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/naming/endpoints"
	"go.etcd.io/etcd/client/v3/naming/resolver"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// patience is how long one request may take.
const patience = 10 * time.Second

// ttl is how long the server is known after its process has died, in seconds.
const ttl = 10

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "naming:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 3 {
		return errors.New("usage: naming ETCD SERVICE")
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints:   []string{os.Args[1]},
		DialTimeout: patience,
		Logger:      zap.NewNop(),
	})
	if err != nil {
		return err
	}
	user := &user{client: client, service: os.Args[2]}
	if user.manager, err = endpoints.NewManager(client, user.service); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	user.address = listener.Addr().String()
	server := grpc.NewServer()
	service := interop.NewTestServer(interop.NewTestServerOptions{})
	testgrpc.RegisterTestServiceServer(server, service)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	fmt.Println("listening", user.address)
	go func() { failed <- user.obey() }()
	return <-failed
}

// user is who uses the library.
type user struct {
	client  *clientv3.Client
	manager endpoints.Manager
	service string
	address string
	channel *grpc.ClientConn
}

// obey does what it is told until nobody is left to tell it.
func (u *user) obey() error {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		verb, rest, _ := strings.Cut(lines.Text(), " ")
		answer, err := u.do(verb, rest)
		if err != nil {
			return fmt.Errorf("%s: %w", verb, err)
		}
		fmt.Println(answer)
	}
	return lines.Err()
}

func (u *user) do(verb, rest string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	switch verb {
	case "add":
		return u.add(ctx, rest)
	case "delete":
		return "deleted " + u.key(), u.manager.DeleteEndpoint(ctx, u.key())
	case "list":
		return u.list(ctx)
	case "call":
		return u.call(ctx)
	default:
		return "", errors.New("no such verb")
	}
}

func (u *user) key() string {
	return u.service + "/" + u.address
}

func (u *user) add(ctx context.Context, metadata string) (string, error) {
	endpoint := endpoints.Endpoint{Addr: u.address}
	if err := json.Unmarshal([]byte(metadata), &endpoint.Metadata); err != nil {
		return "", err
	}
	lease, err := u.client.Grant(ctx, ttl)
	if err != nil {
		return "", err
	}
	// For as long as the process lives.
	renewals, err := u.client.KeepAlive(context.Background(), lease.ID)
	if err != nil {
		return "", err
	}
	go func() {
		for range renewals {
		}
	}()
	err = u.manager.AddEndpoint(ctx, u.key(), endpoint, clientv3.WithLease(lease.ID))
	return "added " + u.key(), err
}

func (u *user) list(ctx context.Context) (string, error) {
	found, err := u.manager.List(ctx)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(found)
	return "found " + string(text), err
}

func (u *user) call(ctx context.Context) (string, error) {
	if u.channel == nil {
		builder, err := resolver.NewBuilder(u.client)
		if err != nil {
			return "", err
		}
		u.channel, err = grpc.NewClient(
			"etcd:///"+u.service,
			grpc.WithResolvers(builder),
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"round_robin": {}}]}`),
		)
		if err != nil {
			return "", err
		}
	}
	var server peer.Peer
	stub := testgrpc.NewTestServiceClient(u.channel)
	_, err := stub.EmptyCall(ctx, &testgrpc.Empty{}, grpc.Peer(&server))
	if err != nil {
		return "failed " + status.Code(err).String(), nil
	}
	return "called " + server.Addr.String(), nil
}
