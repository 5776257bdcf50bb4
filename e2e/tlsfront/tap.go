package main

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"os"
	"sync"
)

// exchange is one line of the tap: what was sent each way, in full up to a limit.
type exchange struct {
	Method, Host, Path, UserAgent string
	Status                        int
	Encoding                      string // of the response
	Request, Response             []byte
}

// tap writes down what passes. Upgraded connections (the firehose) are not written: those are read at their source.
type tap struct {
	mu  sync.Mutex
	out io.Writer
}

func openTap(path string) *tap {
	if path == "" {
		return &tap{}
	}
	return &tap{out: must(os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644))}
}

func (t *tap) serve(h http.Handler, w http.ResponseWriter, r *http.Request) {
	if t.out == nil || r.Header.Get("Upgrade") != "" {
		h.ServeHTTP(w, r)
		return
	}
	request := &readTee{ReadCloser: r.Body}
	response := &writeTee{ResponseWriter: w, status: http.StatusOK}
	r.Body = request
	e := exchange{Method: r.Method, Host: r.Host, Path: r.URL.RequestURI(), UserAgent: r.UserAgent()}
	h.ServeHTTP(response, r)
	e.Status, e.Encoding, e.Request, e.Response = response.status, w.Header().Get("Content-Encoding"), request.seen, response.seen
	line, err := json.Marshal(e)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		_, err = t.out.Write(append(line, '\n'))
	}
	if err != nil {
		log.Fatal("the tap is incomplete: ", err)
	}
}

const tapLimit = 8 << 20

type readTee struct {
	io.ReadCloser
	seen []byte
}

func (t *readTee) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	if len(t.seen)+n <= tapLimit {
		t.seen = append(t.seen, p[:n]...)
	}
	return n, err
}

type writeTee struct {
	http.ResponseWriter
	status int
	seen   []byte
}

func (t *writeTee) WriteHeader(code int) {
	t.status = code
	t.ResponseWriter.WriteHeader(code)
}

func (t *writeTee) Write(p []byte) (int, error) {
	if len(t.seen)+len(p) <= tapLimit {
		t.seen = append(t.seen, p...)
	}
	return t.ResponseWriter.Write(p)
}

// Unwrap lets the proxy flush.
func (t *writeTee) Unwrap() http.ResponseWriter { return t.ResponseWriter }
