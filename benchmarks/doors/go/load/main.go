// Command load makes unary calls, gRPC over plaintext HTTP/2 or GET over HTTP/1.1, with one open call on each
// connection, and prints one JSON object. It builds the frames itself, because a client library would cost more
// processor time than the measured servers. A call without a message, or without status 200, is a failure.
//
// With -rate, calls begin on a schedule whether or not earlier ones are done, and a latency counts from the moment at
// which its call was due.
package main

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// client is one connection with at most one open call.
type client struct {
	conn      net.Conn
	latencies []float64
	failures  int
	protocol  protocol
}

// protocol writes requests and reads replies. succeeded is false for an answer that is an error.
type protocol interface {
	write(message []byte) error
	read() (succeeded bool, err error)
}

func (c *client) finish(due time.Time) {
	succeeded, err := c.protocol.read()
	if err != nil {
		log.Fatalf("call failed: %v", err)
	}
	c.latencies = append(c.latencies, time.Since(due).Seconds()*1000)
	if !succeeded {
		c.failures++
	}
}

// call makes one call on a free connection.
func (c *client) call(message []byte, due time.Time) {
	if err := c.protocol.write(message); err != nil {
		log.Fatalf("call failed: %v", err)
	}
	c.finish(due)
}

func each(clients []*client, do func(*client)) {
	var all sync.WaitGroup
	for _, c := range clients {
		all.Go(func() { do(c) })
	}
	all.Wait()
}

// runOnce sends each message once.
func runOnce(clients []*client, messages [][]byte) {
	var next atomic.Int64
	each(clients, func(c *client) {
		for n := next.Add(1); n <= int64(len(messages)); n = next.Add(1) {
			c.call(messages[n-1], time.Now())
		}
	})
}

// runClosed starts the next call of a connection as soon as one ends.
func runClosed(clients []*client, messages [][]byte, seconds float64) {
	until := time.Now().Add(duration(seconds))
	each(clients, func(c *client) {
		for now := time.Now(); now.Before(until); now = time.Now() {
			c.call(messages[rand.IntN(len(messages))], now)
		}
	})
}

// runOpen starts `rate` calls per second, each on the connection that is free longest; `burst` of them at once.
func runOpen(clients []*client, messages [][]byte, seconds, rate float64, burst int) {
	runtime.GOMAXPROCS(2) // the schedule sleeps in a thread of its own: Go's timers are up to 1 ms late
	runtime.LockOSThread()
	const setTimerSlack = 29
	_, _, _ = syscall.Syscall(syscall.SYS_PRCTL, setTimerSlack, 1, 0)
	free := make(chan *client, len(clients))
	dues := make([]chan time.Time, len(clients))
	var all sync.WaitGroup
	for i, c := range clients {
		dues[i] = make(chan time.Time, 1)
		all.Go(func() {
			for due := range dues[i] {
				c.finish(due)
				free <- c
			}
		})
		free <- c
	}
	index := make(map[*client]int, len(clients))
	for i, c := range clients {
		index[c] = i
	}
	begun := time.Now()
	for number := range burst + int(seconds*rate) {
		due := begun.Add(duration(float64(max(0, number-burst)) / rate))
		if wait := time.Until(due); wait > 0 {
			pause := syscall.NsecToTimespec(int64(wait))
			_ = syscall.Nanosleep(&pause, nil)
		}
		c := <-free
		if err := c.protocol.write(messages[rand.IntN(len(messages))]); err != nil {
			log.Fatalf("call failed: %v", err)
		}
		dues[index[c]] <- due
	}
	for _, each := range dues {
		close(each)
	}
	all.Wait()
}

// greet makes some calls on each connection, so that the measurement has none with a new connection. Then it prints
// "ready" and waits for a line.
func greet(clients []*client, messages [][]byte) {
	each(clients, func(c *client) {
		for range 3 {
			c.call(messages[rand.IntN(len(messages))], time.Now())
		}
		c.latencies, c.failures = c.latencies[:0], 0
	})
	fmt.Println("ready")
	_, _ = fmt.Scanln()
}

func duration(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }

// readMessages returns messages that are preceded by their length, 4 bytes big-endian.
func readMessages(path string) (messages [][]byte) {
	data, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	for len(data) > 0 {
		end := 4 + binary.BigEndian.Uint32(data)
		messages, data = append(messages, data[4:end]), data[end:]
	}
	return messages
}

func percentile(sorted []float64, share float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))]
}

func cpuSeconds() float64 {
	var used syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	return float64(used.Utime.Nano()+used.Stime.Nano()) / 1e9
}

func main() {
	kind := flag.String("kind", "grpc", "grpc, or json over HTTP/1.1")
	address := flag.String("address", "", "host:port")
	method := flag.String("method", "", "/package.Service/Method, for grpc")
	file := flag.String("messages", "", "file of gRPC messages, or of paths for json")
	connections := flag.Int("connections", 64, "connections")
	seconds := flag.Float64("seconds", 3, "duration")
	rate := flag.Float64("rate", 0, "calls per second; 0 = unlimited")
	burst := flag.Int("burst", 0, "with -rate: additional calls at the start, at once")
	once := flag.Bool("once", false, "send each message once")
	authorization := flag.String("authorization", "", "value of the header of each call")
	warmup := flag.String("warmup", "", "file of messages of the first calls; default: -messages")
	flag.Parse()
	debug.SetGCPercent(-1) // a run is short, and a collection would look like a slow server
	messages := readMessages(*file)
	clients := make([]*client, *connections)
	for i := range clients {
		clients[i] = connect(*kind, *address, *method, *authorization, duration(*seconds+30))
	}
	greet(clients, readMessages(cmp.Or(*warmup, *file)))
	begun, cpu := time.Now(), cpuSeconds()
	switch {
	case *once:
		runOnce(clients, messages)
	case *rate > 0:
		runOpen(clients, messages, *seconds, *rate, *burst)
	default:
		runClosed(clients, messages, *seconds)
	}
	wall, failures, latencies := time.Since(begun).Seconds(), 0, []float64{}
	for _, c := range clients {
		latencies, failures = append(latencies, c.latencies...), failures+c.failures
	}
	slices.Sort(latencies)
	_ = json.NewEncoder(os.Stdout).Encode(map[string]float64{
		"calls": float64(len(latencies)), "failures": float64(failures), "rate": float64(len(latencies)) / wall,
		"p50_ms": percentile(latencies, 0.5), "p95_ms": percentile(latencies, 0.95),
		"p99_ms": percentile(latencies, 0.99), "own_cpu_share": (cpuSeconds() - cpu) / wall,
	})
}
