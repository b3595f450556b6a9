// A client of the read door on grpc-go: reads steps from its input, one JSON object a line, and answers each.
package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang/protobuf/proto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

type step struct {
	Method, Request       string
	Deadline, Cancel      float64
	Calls, Report, Open   int64
}

// bytesCodec sends and returns encoded messages as they are.
type bytesCodec struct{}

func (bytesCodec) Marshal(v interface{}) ([]byte, error) { return *(v.(*[]byte)), nil }
func (bytesCodec) Unmarshal(data []byte, v interface{}) error {
	*(v.(*[]byte)) = append([]byte(nil), data...)
	return nil
}
func (bytesCodec) Name() string   { return "proto" }
func (bytesCodec) String() string { return "proto" }

func seconds(number float64) time.Duration { return time.Duration(number * float64(time.Second)) }

func call(link *grpc.ClientConn, s step) map[string]interface{} {
	ctx, stop := context.WithTimeout(context.Background(), seconds(s.Deadline))
	defer stop()
	if s.Cancel > 0 {
		time.AfterFunc(seconds(s.Cancel), stop)
	}
	request, _ := hex.DecodeString(s.Request)
	var reply []byte
	var trailers metadata.MD
	path := "/gostream.v1.VideoService/" + s.Method
	err := link.Invoke(ctx, path, &request, &reply, grpc.ForceCodec(bytesCodec{}), grpc.Trailer(&trailers))
	found := status.Convert(err)
	var details []byte
	if err != nil { // grpc-go takes the trailer with the details away
		details, _ = proto.Marshal(found.Proto())
	}
	return map[string]interface{}{
		"code":    int(found.Code()),
		"message": found.Message(),
		"reply":   hex.EncodeToString(reply),
		"details": hex.EncodeToString(details),
		"layer":   strings.Join(trailers.Get("x-cache"), ""),
	}
}

func many(link *grpc.ClientConn, s step) map[string]interface{} {
	var begun, failed int64
	var all sync.WaitGroup
	for n := int64(0); n < s.Open; n++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for {
				number := atomic.AddInt64(&begun, 1)
				if number > s.Calls {
					return
				}
				if number == s.Report {
					fmt.Printf("{\"progress\": %d}\n", number)
				}
				if found := call(link, s); found["code"] != 0 {
					atomic.AddInt64(&failed, 1)
					fmt.Fprintln(os.Stderr, "call failed:", found["code"], found["message"])
				}
			}
		}()
	}
	all.Wait()
	return map[string]interface{}{"calls": s.Calls, "failed": failed}
}

func main() {
	link, err := grpc.Dial(os.Args[1], grpc.WithInsecure())
	if err != nil {
		panic(err)
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var s step
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			panic(err)
		}
		answer := call
		if s.Calls > 0 {
			answer = many
		}
		text, _ := json.Marshal(answer(link, s))
		fmt.Println(string(text))
	}
}
