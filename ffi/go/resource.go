package jeton

// #include <jeton.h>
import "C"

import (
	stdbytes "bytes"
	"context"
	"io"
	"net/http"
	"runtime"
	"unsafe"
)

// ResourceClient is a client of whatever API it is given a URL of (RFC 9728): the resource names its authorization server, the person
// approves that ([Config.ApproveServer]) and logs in, a client is found or registered there, and the request is sent again. It may be
// used from any number of goroutines.
type ResourceClient struct {
	handle    *handle[*C.jeton_resource_client]
	callbacks *callbackErrors
}

// NewResourceClient makes a client of APIs of which only the URL is known. Nothing is sent yet. Close it at the end.
func NewResourceClient(config Config) (*ResourceClient, error) {
	callbacks := &callbackErrors{}
	raw, err := config.build(callbacks)
	if err != nil {
		return nil, err
	}
	defer C.jeton_config_free(raw)
	var client *C.jeton_resource_client
	var rawErr *C.jeton_error
	status := C.jeton_resource_client_new(raw, &client, &rawErr)
	if err := takeError(status, rawErr, callbacks, nil); err != nil {
		return nil, err
	}
	c := &ResourceClient{
		handle:    newHandle(client, func(ptr *C.jeton_resource_client) { C.jeton_resource_client_free(ptr) }),
		callbacks: callbacks,
	}
	runtime.AddCleanup(c, closeUnreachable[*C.jeton_resource_client], c.handle)
	return c, nil
}

// Get sends a GET request, and waits for the person where one has to approve a server or log in. Any HTTP status is an answer.
func (c *ResourceClient) Get(ctx context.Context, url string) (*http.Response, error) {
	return c.Do(ctx, http.MethodGet, url, nil, nil)
}

// Do sends any request; header and body may be nil.
func (c *ResourceClient) Do(
	ctx context.Context, method, url string, header http.Header, body []byte,
) (*http.Response, error) {
	if !c.handle.acquire() {
		return nil, ErrClosed
	}
	defer c.handle.release()
	request, err := c.request(method, url, header, body)
	if err != nil {
		return nil, err
	}
	defer C.jeton_request_free(request)
	var answer *C.jeton_response
	// A person may take long: this is no call that waits for a server.
	err = interruptible(ctx, func(cancel *C.jeton_cancel) error {
		var raw *C.jeton_error
		status := C.jeton_request_send(request, cancel, &answer, &raw)
		return takeError(status, raw, c.callbacks, ctx)
	})
	if err != nil {
		return nil, err
	}
	defer C.jeton_response_free(answer)
	return response(answer), nil
}

func (c *ResourceClient) request(
	method, url string, header http.Header, body []byte,
) (made *C.jeton_request, err error) {
	var strings texts
	defer strings.free()
	cMethod, cURL := strings.c("the method", method), strings.c("the URL", url)
	if strings.err != nil {
		return nil, strings.err
	}
	var raw *C.jeton_error
	status := C.jeton_resource_client_request(c.handle.ptr, cMethod, cURL, &made, &raw)
	if err := takeError(status, raw, c.callbacks, nil); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			C.jeton_request_free(made)
		}
	}()
	for name, values := range header {
		for _, value := range values {
			cName, cValue := strings.c("a header's name", name), strings.c("the header "+name, value)
			if strings.err != nil {
				return nil, strings.err
			}
			status := C.jeton_request_add_header(made, cName, cValue, &raw)
			if err := takeError(status, raw, c.callbacks, nil); err != nil {
				return nil, err
			}
		}
	}
	if body != nil {
		ptr, length := bytes(body)
		status := C.jeton_request_set_body(made, ptr, length, &raw)
		if err := takeError(status, raw, c.callbacks, nil); err != nil {
			return nil, err
		}
	}
	return made, nil
}

// response copies an answer of the library's.
func response(answer *C.jeton_response) *http.Response {
	code := int(C.jeton_response_status(answer))
	header := http.Header{}
	for i := C.size_t(0); i < C.jeton_response_header_count(answer); i++ {
		name := C.GoString(C.jeton_response_header_name(answer, i))
		header.Add(name, C.GoString(C.jeton_response_header_value(answer, i)))
	}
	var length C.size_t
	content := C.jeton_response_body(answer, &length)
	var body []byte
	if content != nil {
		body = C.GoBytes(unsafe.Pointer(content), C.int(length))
	}
	return &http.Response{
		Status:        http.StatusText(code),
		StatusCode:    code,
		Header:        header,
		Body:          io.NopCloser(stdbytes.NewReader(body)),
		ContentLength: int64(len(body)),
	}
}

// Close frees the client. It may be called more than once, and while other calls run.
func (c *ResourceClient) Close() error {
	c.handle.close()
	return nil
}
