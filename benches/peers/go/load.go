package main

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
)

// until says when callers stop: after the time, or after so many calls in all.
type until struct {
	time  time.Duration
	calls uint64
}

// outcome is what one run of the callers was.
type outcome struct {
	calls     uint64
	wall      time.Duration
	latencies histogram
}

// load is callers that each make one call after the other.
type load struct {
	callers []*caller
}

type caller struct {
	call      call
	latencies histogram
	calls     uint64
}

func newLoad(call call, callers int) *load {
	load := &load{}
	for range max(callers, 1) {
		load.callers = append(load.callers, &caller{call: call})
	}
	return load
}

// calling is what callers of this shape do.
func calling(client *client, shape shape) call {
	if shape == stream {
		request := &listUsersRequest{fromID: 1, count: streamed}
		return func(ctx context.Context, options ...grpc.CallOption) error {
			return client.listUsers(ctx, request, options...)
		}
	}
	request := &getByIDRequest{id: 1}
	if shape == unary16k {
		request.padding = strings.Repeat("x", 16<<10)
	}
	return func(ctx context.Context, options ...grpc.CallOption) error {
		return client.getByID(ctx, request, options...)
	}
}

// run lets all callers call until it is over. The first error ends it.
func (l *load) run(until until) (outcome, error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	var stop atomic.Bool
	if until.time > 0 {
		timer := time.AfterFunc(until.time, func() { stop.Store(true) })
		defer timer.Stop()
	}

	begin := time.Now()
	var running sync.WaitGroup
	for place, caller := range l.callers {
		limit := ^uint64(0)
		if until.time == 0 {
			limit = share(until.calls, len(l.callers), place)
		}
		running.Go(func() {
			if err := caller.run(ctx, limit, &stop); err != nil {
				stop.Store(true)
				cancel(err)
			}
		})
	}
	running.Wait()

	outcome := outcome{wall: time.Since(begin)}
	for _, caller := range l.callers {
		outcome.calls += caller.calls
		outcome.latencies.add(&caller.latencies)
	}
	return outcome, context.Cause(ctx)
}

func (c *caller) run(ctx context.Context, limit uint64, stop *atomic.Bool) error {
	c.calls, c.latencies = 0, histogram{}
	for c.calls < limit && !stop.Load() {
		begin := time.Now()
		if err := c.call(ctx); err != nil {
			return err
		}
		c.latencies.record(time.Since(begin))
		c.calls++
	}
	return nil
}

// share divides so many calls among callers: the first ones make what is left over.
func share(calls uint64, callers, place int) uint64 {
	share, rest := calls/uint64(callers), calls%uint64(callers)
	if uint64(place) < rest {
		share++
	}
	return share
}
