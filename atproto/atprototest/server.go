package atprototest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// server is an HTTP server on a loopback port.
type server struct {
	base, addr string

	http *http.Server
	// sick, when set, answers every request with this status.
	sick atomic.Int32
}

func (s *server) listen(addr string, h http.Handler) error {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	s.addr = l.Addr().String()
	s.base = "http://" + s.addr
	s.http = &http.Server{Handler: s.rude(h), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.http.Serve(l) }() // ends with ErrServerClosed
	return nil
}

// URL is the base URL, http://127.0.0.1:port.
func (s *server) URL() string { return s.base }

// Addr is host:port.
func (s *server) Addr() string { return s.addr }

// rude answers with an error while the server is told to be sick.
func (s *server) rude(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status := s.sick.Load(); status != 0 {
			w.Header().Set("Retry-After", "1")
			xrpcError(w, int(status), "Sick", "told to fail")
			return
		}
		h.ServeHTTP(w, r)
	})
}

// Fail makes every request fail with the status; 0 makes the server well again.
func (s *server) Fail(status int) { s.sick.Store(int32(status)) }

func (s *server) close() {
	if s.http != nil {
		_ = s.http.Close() // loopback: nothing to save
	}
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client is gone if this fails
}

func xrpcError(w http.ResponseWriter, status int, name, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": name, "message": message})
}

// fault is an XRPC error on its way to the client.
type fault struct {
	status        int
	name, message string
}

func (f *fault) Error() string { return f.name + ": " + f.message }

func badRequest(format string, args ...any) *fault {
	return &fault{http.StatusBadRequest, "InvalidRequest", fmt.Sprintf(format, args...)}
}

// methods dispatches /xrpc/<nsid>. A handler returns what to encode as JSON, or nil if it wrote the answer itself.
type methods map[string]func(w http.ResponseWriter, r *http.Request) (any, error)

func (m methods) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	nsid := strings.TrimPrefix(r.URL.Path, "/xrpc/")
	h, ok := m[nsid]
	if !ok {
		xrpcError(w, http.StatusNotImplemented, "MethodNotImplemented", nsid)
		return
	}
	out, err := h(w, r)
	var f *fault
	switch {
	case errors.As(err, &f):
		xrpcError(w, f.status, f.name, f.message)
	case err != nil:
		xrpcError(w, http.StatusInternalServerError, "InternalServerError", err.Error())
	case out != nil:
		writeJSON(w, out)
	}
}

func readJSON(r *http.Request, into any) error {
	if err := json.NewDecoder(http.MaxBytesReader(nil, r.Body, 2<<20)).Decode(into); err != nil {
		return badRequest("body: %v", err)
	}
	return nil
}
