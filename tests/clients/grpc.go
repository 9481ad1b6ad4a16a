// A unary call with grpc-go: grpc HOST METHOD. The message is bytes as they are.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

type raw struct{}

func (raw) Marshal(v interface{}) ([]byte, error)      { return *v.(*[]byte), nil }
func (raw) Unmarshal(data []byte, v interface{}) error { *v.(*[]byte) = append([]byte{}, data...); return nil }
func (raw) Name() string                               { return "proto" }

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	conn, err := grpc.DialContext(ctx, os.Args[1]+":443", grpc.WithTransportCredentials(credentials.NewTLS(nil)))
	var answer []byte
	if err == nil {
		message := []byte("octo")
		err = conn.Invoke(ctx, os.Args[2], &message, &answer, grpc.ForceCodec(raw{}))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("%s\n", answer)
}
