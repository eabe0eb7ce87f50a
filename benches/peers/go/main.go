// Command grpc-go is grpc-go's round_robin channel under a closed loop of callers, to be measured
// beside the other peers. See ../README.md for what it is told and what it answers.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

const warmUp = 200 * time.Millisecond

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "grpc-go:", err)
		os.Exit(1)
	}
}

func run() error {
	options := options{shape: unary}
	flag.Var(&options.endpoints, "endpoints", "addresses to call, with commas between them")
	flag.IntVar(&options.callers, "callers", 64, "how many callers there are, one call at a time each")
	flag.IntVar(&options.workers, "workers", 1, "how many cores the client may use")
	flag.Var(&options.shape, "shape", "unary, unary16k or stream")
	flag.BoolVar(&options.count, "count", false, "report allocations")
	flag.Parse()
	if err := options.check(); err != nil {
		return err
	}
	if err := pin(options.workers); err != nil {
		fmt.Fprintln(os.Stderr, "grpc-go: not pinned:", err)
	}
	runtime.GOMAXPROCS(options.workers)

	client, err := connect(options.endpoints)
	if err != nil {
		return err
	}
	defer client.close()
	call := calling(client, options.shape)
	if err := reach(options.endpoints, call); err != nil {
		return err
	}
	load := newLoad(call, options.callers)
	// With no callers, which is how memory is measured, connecting is all there is.
	if options.callers > 0 {
		if _, err := load.run(until{time: warmUp}); err != nil {
			return err
		}
	}
	fmt.Println("ready")

	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		report, err := answer(load, lines.Text(), options.count)
		if err != nil {
			return err
		}
		line, err := json.Marshal(report)
		if err != nil {
			return err
		}
		fmt.Println(string(line))
	}
	return lines.Err()
}

// answer does what one line of standard input says.
func answer(load *load, line string, count bool) (report, error) {
	command, argument, _ := strings.Cut(line, " ")
	switch command {
	case "idle":
		return idle()
	case "run", "calls":
		amount, err := strconv.ParseUint(argument, 10, 32)
		if err != nil {
			return report{}, fmt.Errorf("%q: %w", line, err)
		}
		limit := until{calls: amount}
		if command == "run" {
			limit = until{time: time.Duration(amount) * time.Millisecond}
		}
		return measure(count, func() (outcome, error) { return load.run(limit) })
	default:
		return report{}, fmt.Errorf("%q is neither run, calls nor idle", line)
	}
}

type options struct {
	endpoints addresses
	callers   int
	workers   int
	shape     shape
	count     bool
}

func (o options) check() error {
	switch {
	case len(o.endpoints) == 0:
		return errors.New("--endpoints is needed")
	case o.callers < 0:
		return errors.New("--callers is not negative")
	case o.workers < 1 || o.workers > 2:
		return errors.New("--workers is 1 or 2")
	default:
		return nil
	}
}

// addresses is a flag: HOST:PORT,HOST:PORT.
type addresses []string

func (a *addresses) String() string { return strings.Join(*a, ",") }

func (a *addresses) Set(value string) error {
	*a = strings.Split(value, ",")
	return nil
}

// shape is a flag: what a call is.
type shape string

const (
	unary    shape = "unary"
	unary16k shape = "unary16k"
	stream   shape = "stream"
)

func (s *shape) String() string { return string(*s) }

func (s *shape) Set(value string) error {
	switch shape(value) {
	case unary, unary16k, stream:
		*s = shape(value)
		return nil
	default:
		return errors.New("it is unary, unary16k or stream")
	}
}
