package redislane_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// server is a Redis of the test's own, to be killed, cut and stopped.
type server struct {
	t      *testing.T
	dir    string
	port   string
	args   []string
	cmd    *exec.Cmd
	client redis.UniversalClient
}

// newServer reserves a port and a folder; nothing runs yet.
func newServer(t *testing.T, args ...string) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, dir: t.TempDir(), port: port, args: args}
	s.client = dial(t, s.url())
	t.Cleanup(s.kill)
	return s
}

func (s *server) url() string { return "redis://127.0.0.1:" + s.port }

// start runs redis-server with its log of writes on, and waits until it answers.
func (s *server) start() {
	s.t.Helper()
	program := service(s.t, "FOOTBRIDGE_TEST_REDIS_SERVER")
	s.cmd = exec.Command(program, append([]string{
		"--port", s.port, "--bind", "127.0.0.1", "--dir", s.dir, "--save", "", "--appendonly", "yes", "--appendfsync", "everysec",
		"--aof-load-truncated", "yes", "--logfile", filepath.Join(s.dir, "log"),
	}, s.args...)...)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		if s.client.Ping(context.Background()).Err() == nil {
			return
		}
		<-time.After(20 * time.Millisecond)
	}
	log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	s.t.Fatalf("redis-server does not answer: %s", log)
}

// kill ends the process at once, as a power cut does.
func (s *server) kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait() // killed, so not nil
	s.cmd = nil
}

// pause stops the process for a while, as a partition does.
func (s *server) pause(d time.Duration) {
	if err := s.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		s.t.Error(err)
	}
	<-time.After(d)
	if err := s.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		s.t.Error(err)
	}
}

// cut removes the last n bytes of the log of writes, which a power cut may take.
func (s *server) cut(n int64) int64 {
	s.t.Helper()
	logs, err := filepath.Glob(filepath.Join(s.dir, "appendonlydir", "*.incr.aof"))
	if err != nil || len(logs) == 0 {
		s.t.Fatalf("no log of writes in %s (%v)", s.dir, err)
	}
	last := logs[len(logs)-1]
	info, err := os.Stat(last)
	if err != nil {
		s.t.Fatal(err)
	}
	n = min(n, info.Size())
	if err := os.Truncate(last, info.Size()-n); err != nil {
		s.t.Fatal(err)
	}
	return n
}

// save and load copy the data folder: a replica that lags, and takes over.
func (s *server) save() string {
	s.t.Helper()
	to := filepath.Join(s.t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(filepath.Join(s.dir, "appendonlydir"))); err != nil && !errors.Is(err, os.ErrExist) {
		s.t.Fatal(err)
	}
	return to
}

func (s *server) load(from string) {
	s.t.Helper()
	at := filepath.Join(s.dir, "appendonlydir")
	if err := os.RemoveAll(at); err != nil {
		s.t.Fatal(err)
	}
	if err := os.CopyFS(at, os.DirFS(from)); err != nil {
		s.t.Fatal(err)
	}
}

func TestUnfitServersAreRefused(t *testing.T) {
	s := newServer(t, "--maxmemory-policy", "allkeys-lru")
	s.start()
	g := newFleet(t, s.client, 1)
	err := g.runners[0].Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "set maxmemory-policy noeviction") {
		t.Errorf("a Redis that evicts was answered with: %v", err)
	}
	fmt.Fprintln(t.Output(), err)
}
