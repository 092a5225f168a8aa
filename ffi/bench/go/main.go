// What jeton costs a Go program: `cargo xtask bench ffi` builds and runs this, and sums up the lines that it prints.
//
//	cost TOKEN_ENDPOINT API ROUNDS READS REQUESTS
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/jeton-oauth/jeton/ffi/go"
	"golang.org/x/oauth2"
)

func main() {
	if len(os.Args) != 6 {
		log.Fatal("usage: cost TOKEN_ENDPOINT API ROUNDS READS REQUESTS")
	}
	var numbers [3]int
	for i := range numbers {
		number, err := strconv.Atoi(os.Args[3+i])
		if err != nil || number <= 0 {
			log.Fatalf("%s is not a number above 0", os.Args[3+i])
		}
		numbers[i] = number
	}
	if err := measure(os.Args[1], os.Args[2], numbers[0], numbers[1], numbers[2]); err != nil {
		log.Fatal(err)
	}
}

func measure(tokenEndpoint, api string, rounds, reads, requests int) error {
	client, err := jeton.New(jeton.Config{
		Endpoints: jeton.Endpoints{Token: tokenEndpoint},
		ClientID:  "cost", ClientSecret: "secret", Grant: jeton.GrantClientCredentials,
		ResourceServers: []string{api}, NoProxy: true,
	})
	if err != nil {
		return err
	}
	defer client.Close()
	session, err := client.Session("")
	if err != nil {
		return err
	}
	defer session.Close()
	token, err := session.Token(context.Background())
	if err != nil {
		return err
	}
	source := session.TokenSource(context.Background())
	// What oauth2.Config.TokenSource and clientcredentials give: a token behind a mutex.
	reuse := oauth2.ReuseTokenSource(token.OAuth2(), nil)
	byJeton := session.HTTPClient()
	byNetHTTP := &http.Client{Transport: &header{token.Authorization(), http.DefaultTransport}}
	// The first round warms up.
	for round := range rounds + 1 {
		for _, threads := range []int{1, 2} {
			sources := map[string]oauth2.TokenSource{"jeton's TokenSource": source, "oauth2's own": reuse}
			for name, source := range sources {
				ns, err := readCached(source, threads, reads)
				if err != nil {
					return err
				}
				if round > 0 {
					fmt.Printf("Go: cached token, %s, %d thread%s\t%.2f\n", name, threads, "s"[:threads-1], ns)
				}
			}
		}
		for name, client := range map[string]*http.Client{"jeton": byJeton, "net/http": byNetHTTP} {
			us, err := get(client, api, requests)
			if err != nil {
				return err
			}
			if round > 0 {
				fmt.Printf("Go: request, %s\t%.2f\n", name, us)
			}
		}
	}
	return nil
}

// readCached gives the time of one read on its thread, in nanoseconds. On one thread nothing waits, and the processor's
// time is the time that it takes, whoever else is running; on two, waiting for each other counts as well.
func readCached(source oauth2.TokenSource, threads, reads int) (float64, error) {
	var all sync.WaitGroup
	failures := make([]error, threads)
	begun, used := time.Now(), processorTime()
	for thread := range threads {
		all.Go(func() {
			for range reads {
				token, err := source.Token()
				if err != nil || token.AccessToken == "" {
					failures[thread] = errors.Join(err, errors.New("no cached token"))
					return
				}
			}
		})
	}
	all.Wait()
	took := processorTime() - used
	if threads > 1 {
		took = time.Since(begun)
	}
	return float64(took.Nanoseconds()) / float64(reads), errors.Join(failures...)
}

// processorTime is what this process has used.
func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		log.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// get gives the time of one request, in microseconds.
func get(client *http.Client, api string, requests int) (float64, error) {
	begun := time.Now()
	for range requests {
		response, err := client.Get(api)
		if err != nil {
			return 0, err
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != 200 || len(body) == 0 {
			return 0, fmt.Errorf("the API answered %s and %d bytes (%w)", response.Status, len(body), err)
		}
	}
	return float64(time.Since(begun).Nanoseconds()) / 1e3 / float64(requests), nil
}

// header adds one header, as a program would that has the token already.
type header struct {
	authorization string
	base          http.RoundTripper
}

func (h *header) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Header.Set("Authorization", h.authorization)
	return h.base.RoundTrip(request)
}
