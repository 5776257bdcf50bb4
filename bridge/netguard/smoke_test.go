package netguard

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestClientAgainstALoopbackServer(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/big":
			_, _ = io.WriteString(w, strings.Repeat("x", 2000))
		case "/bomb":
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			_, _ = z.Write(make([]byte, 8<<20))
			_ = z.Close()
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(b.Bytes())
		case "/signed":
			http.Redirect(w, r, "/echo", http.StatusFound)
		case "/echo":
			_, _ = io.WriteString(w, r.Header.Get("Signature")+r.Header.Get("User-Agent"))
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		}
	}))
	t.Cleanup(srv.Close)
	host := strings.TrimPrefix(srv.URL, "http://")
	g, err := New(Options{DevAllow: []string{host}, DevHTTP: true, UserAgent: "agent/1"})
	if err != nil {
		t.Fatal(err)
	}
	read := func(path string, limit int64) (string, error) {
		req, _ := http.NewRequest(http.MethodGet, srv.URL+path, nil)
		req.Header.Set("Signature", "secret ")
		resp, err := g.Client(limit).Do(req)
		if err != nil {
			return "", err
		}
		defer func() { _ = resp.Body.Close() }()
		b, err := io.ReadAll(resp.Body)
		return string(b), err
	}
	if got, err := read("/signed", 100); err != nil || got != "agent/1" {
		t.Errorf("after a redirect: %q, %v; the signature must not travel and the agent must", got, err)
	}
	if _, err := read("/big", 1999); !errors.Is(err, ErrTooLarge) {
		t.Errorf("2000 bytes under a limit of 1999: %v", err)
	}
	if got, err := read("/big", 2000); err != nil || len(got) != 2000 {
		t.Errorf("2000 bytes under a limit of 2000: %d, %v", len(got), err)
	}
	if _, err := read("/bomb", 40<<20); !errors.Is(err, ErrTooLarge) {
		t.Errorf("bomb: %v", err)
	}
	if _, err := read("/loop", 100); !errors.Is(err, ErrDenied) {
		t.Errorf("loop: %v", err)
	}
	strict, _ := New(Options{})
	if _, err := strict.Client(10).Get(srv.URL); !errors.Is(err, ErrDenied) {
		t.Errorf("strict guard: %v", err)
	}
}
