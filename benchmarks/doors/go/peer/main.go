// Command peer answers GetVideo and BatchGetVideos as the first GoStream did, in Go: single flight, then Redis, then
// PostgreSQL. It passes on finished replies, which the benchmark has put into PostgreSQL, so it does less than a real
// service: it neither decodes nor encodes a video. It writes no logs and has no metrics, tracing or authentication.
//
//go:debug default=go1.27
package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"flag"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"

	"github.com/gomodule/redigo/redis"
	_ "github.com/lib/pq"
	"golang.org/x/sync/singleflight"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
)

const connections = 64

var errNotFound = errors.New("no such video")

// store reads replies of one kind, "grpc" or "json".
type store struct {
	kind    string
	redis   *redis.Pool
	db      *sql.DB
	flights singleflight.Group
}

func open(kind string) *store {
	db, err := sql.Open("postgres", os.Getenv("DATABASE_URL")+"?sslmode=disable")
	if err != nil {
		log.Fatal(err)
	}
	dial := func() (redis.Conn, error) {
		return redis.Dial("tcp", os.Getenv("REDIS_ADDRESS"), redis.DialPassword(os.Getenv("REDIS_PASSWORD")))
	}
	pool := &redis.Pool{Dial: dial, MaxIdle: connections, MaxActive: connections, Wait: true}
	return &store{kind: kind, redis: pool, db: db}
}

func (s *store) key(id string) string { return "peer:" + s.kind + ":" + id }

// get returns the reply of one video. Concurrent calls for one id share one look-up.
func (s *store) get(id string) ([]byte, error) {
	found, err, _ := s.flights.Do(id, func() (any, error) {
		conn := s.redis.Get()
		defer conn.Close()
		reply, err := redis.Bytes(conn.Do("GET", s.key(id)))
		if !errors.Is(err, redis.ErrNil) {
			return reply, err
		}
		row := s.db.QueryRow("SELECT reply FROM peer_replies WHERE kind = $1 AND id = $2", s.kind, id)
		if err := row.Scan(&reply); errors.Is(err, sql.ErrNoRows) {
			return nil, errNotFound
		} else if err != nil {
			return nil, err
		}
		_, err = conn.Do("SET", s.key(id), reply, "EX", 3600)
		return reply, err
	})
	reply, _ := found.([]byte)
	return reply, err
}

// batch returns the replies of several videos, by one MGET.
func (s *store) batch(ids []string) ([][]byte, error) {
	keys := make([]any, len(ids))
	for i, id := range ids {
		keys[i] = s.key(id)
	}
	conn := s.redis.Get()
	replies, err := redis.ByteSlices(conn.Do("MGET", keys...))
	conn.Close()
	for i := range replies {
		if err == nil && replies[i] == nil {
			replies[i], err = s.get(ids[i])
		}
	}
	return replies, err
}

func (s *store) serveVideo(w http.ResponseWriter, r *http.Request) {
	reply, err := s.get(r.PathValue("id"))
	answer(w, reply, err)
}

func (s *store) serveBatch(w http.ResponseWriter, r *http.Request) {
	replies, err := s.batch(r.URL.Query()["ids"])
	answer(w, bytes.Join([][]byte{[]byte(`{"videos":[`), bytes.Join(replies, []byte(",")), []byte("]}")}, nil), err)
}

func answer(w http.ResponseWriter, body []byte, err error) {
	switch {
	case errors.Is(err, errNotFound):
		http.Error(w, "not found", http.StatusNotFound)
	case err != nil:
		http.Error(w, "internal error", http.StatusInternalServerError)
	default:
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	}
}

// raw is a codec for messages that are encoded already.
type raw struct{}

func (raw) Name() string                        { return "proto" }
func (raw) Marshal(message any) ([]byte, error) { return message.([]byte), nil }
func (raw) Unmarshal(data []byte, message any) error {
	*message.(*[]byte) = append([]byte(nil), data...)
	return nil
}

// ids returns the values of field 1 of GetVideoRequest or BatchGetVideosRequest.
func ids(request []byte) (found []string) {
	for len(request) > 0 {
		number, kind, n := protowire.ConsumeTag(request)
		if n < 0 || number != 1 || kind != protowire.BytesType {
			return nil
		}
		value, m := protowire.ConsumeString(request[n:])
		if m < 0 {
			return nil
		}
		found, request = append(found, value), request[n+m:]
	}
	return found
}

type call func(*store, []string) ([]byte, error)

func getVideo(s *store, ids []string) ([]byte, error) { return s.get(ids[0]) }

func batchGetVideos(s *store, ids []string) ([]byte, error) {
	replies, err := s.batch(ids)
	var message []byte
	for _, reply := range replies {
		message = protowire.AppendBytes(protowire.AppendTag(message, 1, protowire.BytesType), reply)
	}
	return message, err
}

func method(name string, do call) grpc.MethodDesc {
	handle := func(s any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		var request []byte
		if err := decode(&request); err != nil {
			return nil, err
		}
		asked := ids(request)
		if len(asked) == 0 {
			return nil, status.Error(codes.InvalidArgument, "no id")
		}
		message, err := do(s.(*store), asked)
		if errors.Is(err, errNotFound) {
			return nil, status.Error(codes.NotFound, "not found")
		} else if err != nil {
			return nil, status.Error(codes.Internal, "internal error")
		}
		return message, nil
	}
	return grpc.MethodDesc{MethodName: name, Handler: handle}
}

func main() {
	kind := flag.String("kind", "grpc", "grpc, or json over HTTP/1.1")
	address := flag.String("address", "127.0.0.1:0", "host:port")
	flag.Parse()
	s := open(*kind)
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	if *kind == "json" {
		mux := http.NewServeMux()
		mux.HandleFunc("GET /v1/videos/{id}", s.serveVideo)
		mux.HandleFunc("GET /v1/videos:batchGet", s.serveBatch)
		log.Fatal(http.Serve(listener, mux))
	}
	encoding.RegisterCodec(raw{})
	server := grpc.NewServer()
	methods := []grpc.MethodDesc{method("GetVideo", getVideo), method("BatchGetVideos", batchGetVideos)}
	server.RegisterService(&grpc.ServiceDesc{ServiceName: "gostream.v1.VideoService", HandlerType: (*any)(nil), Methods: methods}, s)
	log.Fatal(server.Serve(listener))
}
