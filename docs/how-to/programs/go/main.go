// Uploads a video, processes it and follows its progress: go run . FILE
package main

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	gostream "example.com/app/gen/gostream/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/health" // enables healthCheckConfig
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
)

//go:embed service_config.json
var serviceConfig string

func main() {
	address := os.Getenv("GOSTREAM_API_ADDR")
	if address == "" {
		address = "localhost:50051"
	}
	connection, err := grpc.NewClient("dns:///"+address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: 10 * time.Second, Timeout: 3 * time.Second, PermitWithoutStream: true}))
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()
	if err := run(gostream.NewVideoServiceClient(connection), os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func run(videos gostream.VideoServiceClient, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	created, err := videos.CreateVideo(ctx, &gostream.CreateVideoRequest{
		Title: info.Name(), ContentType: "video/mp4", SizeBytes: info.Size(), RequestId: requestID()})
	if err != nil {
		return err
	}
	if err := put(created.Upload, file, info.Size()); err != nil {
		return err
	}
	ctx, cancel = context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	video, err := videos.TriggerProcess(ctx, &gostream.TriggerProcessRequest{
		Id: created.Video.Id, RequestId: requestID()})
	if err != nil {
		return err
	}
	return follow(videos, video.Id)
}

// put sends the file to the object store, with the headers of the upload and its exact length.
func put(upload *gostream.Upload, body io.Reader, size int64) error {
	request, err := http.NewRequest(upload.Method, upload.Url, body)
	if err != nil {
		return err
	}
	request.ContentLength = size
	for name, value := range upload.Headers {
		request.Header.Set(name, value)
	}
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK {
		return fmt.Errorf("the object store answered %s", reply.Status)
	}
	return nil
}

// follow prints the states of a video until its processing ends. A replica that stops ends its watches.
func follow(videos gostream.VideoServiceClient, id string) error {
	video := &gostream.Video{}
	for {
		watch, err := videos.WatchVideo(context.Background(), &gostream.WatchVideoRequest{Id: id})
		for err == nil {
			var next *gostream.Video
			if next, err = watch.Recv(); err == nil {
				video = next
				fmt.Println(video.Status, video.GetProcessing().GetStage())
			}
		}
		if err == io.EOF {
			fmt.Println(video.PlaybackUrl, video.GetError().GetMessage())
			return nil
		}
		if status.Code(err) != codes.Unavailable {
			return err
		}
		time.Sleep(time.Second)
	}
}

func requestID() string {
	bytes := make([]byte, 16)
	if _, err := rand.Read(bytes); err != nil {
		log.Fatal(err)
	}
	return hex.EncodeToString(bytes)
}
