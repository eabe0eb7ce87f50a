package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
)

const (
	getByID   = "/UserService/GetById"
	listUsers = "/UserService/ListUsers"

	connectTimeout = 10 * time.Second
	// How many messages a stream has.
	streamed = 1000
)

// client is one channel over all endpoints.
type client struct {
	channel *grpc.ClientConn
}

// call makes one call, and reads its answers to the end.
type call func(context.Context, ...grpc.CallOption) error

// connect returns a channel that has yet to connect.
func connect(endpoints []string) (*client, error) {
	addresses := manual.NewBuilderWithScheme("fixed")
	state := resolver.State{}
	for _, address := range endpoints {
		one := []resolver.Address{{Addr: address}}
		state.Endpoints = append(state.Endpoints, resolver.Endpoint{Addresses: one})
	}
	addresses.InitialState(state)
	channel, err := grpc.NewClient("fixed:///users",
		grpc.WithResolvers(addresses),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig":[{"round_robin":{}}]}`),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(codec{})),
	)
	if err != nil {
		return nil, err
	}
	return &client{channel}, nil
}

// reach returns once every endpoint has answered a call.
func reach(endpoints []string, call call) error {
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	missing := make(map[string]bool)
	for _, address := range endpoints {
		missing[address] = true
	}
	for len(missing) > 0 {
		var answered peer.Peer
		if err := call(ctx, grpc.Peer(&answered), grpc.WaitForReady(true)); err != nil {
			return fmt.Errorf("not all endpoints answer: %w", err)
		}
		delete(missing, answered.Addr.String())
	}
	return nil
}

func (c *client) close() { c.channel.Close() }

// getByID makes one unary call.
func (c *client) getByID(ctx context.Context, request *getByIDRequest, options ...grpc.CallOption) error {
	var response userResponse
	if err := c.channel.Invoke(ctx, getByID, request, &response, options...); err != nil {
		return err
	}
	return response.check(1)
}

var listing = &grpc.StreamDesc{StreamName: "ListUsers", ServerStreams: true}

// listUsers makes one call, and reads its messages to the end.
func (c *client) listUsers(ctx context.Context, request *listUsersRequest, options ...grpc.CallOption) error {
	stream, err := c.channel.NewStream(ctx, listing, listUsers, options...)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(request); err != nil {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	for count := 0; ; count++ {
		var response userResponse
		err := stream.RecvMsg(&response)
		if err == io.EOF && count == streamed {
			return nil
		}
		if err != nil {
			return fmt.Errorf("after %d messages: %w", count, err)
		}
	}
}
