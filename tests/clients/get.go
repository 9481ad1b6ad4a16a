// One request with net/http: get URL
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

func main() {
	answer, err := http.Get(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	body, err := io.ReadAll(answer.Body)
	fmt.Printf("http=%s %s\n", strings.TrimSuffix(answer.Proto[5:], ".0"), body)
	if err != nil || answer.StatusCode != 200 {
		os.Exit(1)
	}
}
