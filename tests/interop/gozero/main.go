// Command gozero is a user of go-zero's core/discov. It is told where etcd is, and says that it is
// ready on standard output. Then it does what it is told on standard input, one line each, and
// answers with one line; it ends when its standard input does.
//
//	add KEY ADDRESS    publishes the address under a lease: added
//	delete             takes that out: deleted
//	watch KEY          subscribes to a key: watching
//	list               what the subscriber has now: found ADDRESS…
package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/zeromicro/go-zero/core/discov"
	"github.com/zeromicro/go-zero/core/logx"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "gozero:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 2 {
		return errors.New("usage: gozero ETCD")
	}
	// It would write to standard output.
	logx.Disable()
	user := &user{hosts: os.Args[1:]}
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		answer, err := user.do(strings.Fields(lines.Text()))
		if err != nil {
			return fmt.Errorf("%s: %w", lines.Text(), err)
		}
		fmt.Println(answer)
	}
	return lines.Err()
}

// user is who uses the library.
type user struct {
	hosts      []string
	publisher  *discov.Publisher
	subscriber *discov.Subscriber
}

func (u *user) do(words []string) (answer string, err error) {
	switch {
	case len(words) == 3 && words[0] == "add":
		u.publisher = discov.NewPublisher(u.hosts, words[1], words[2])
		return "added", u.publisher.KeepAlive()
	case len(words) == 1 && words[0] == "delete":
		u.publisher.Stop()
		return "deleted", nil
	case len(words) == 2 && words[0] == "watch":
		u.subscriber, err = discov.NewSubscriber(u.hosts, words[1])
		return "watching", err
	case len(words) == 1 && words[0] == "list":
		values := u.subscriber.Values()
		slices.Sort(values)
		return strings.Join(append([]string{"found"}, values...), " "), nil
	default:
		return "", errors.New("what is that")
	}
}
