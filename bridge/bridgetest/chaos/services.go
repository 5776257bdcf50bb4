package chaos

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver
)

// makeDatabase makes an empty database on a PostgreSQL server; drop removes it, renew empties it.
func makeDatabase(ctx context.Context, server string) (address string, drop func() error, renew func(context.Context) error, err error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", nil, nil, fmt.Errorf("the PostgreSQL URL: %w", err)
	}
	admin, err := sql.Open("pgx", server)
	if err != nil {
		return "", nil, nil, err
	}
	name := fmt.Sprintf("chaos_%d", time.Now().UnixNano())
	if _, err := admin.ExecContext(ctx, "CREATE DATABASE "+name); err != nil {
		return "", nil, nil, errors.Join(fmt.Errorf("making a database: %w", err), admin.Close())
	}
	u.Path = "/" + name
	remove := "DROP DATABASE " + name + " WITH (FORCE)"
	drop = func() error {
		_, err := admin.Exec(remove)
		return errors.Join(err, admin.Close())
	}
	renew = func(ctx context.Context) error {
		if _, err := admin.ExecContext(ctx, remove); err != nil {
			return fmt.Errorf("dropping a database: %w", err)
		}
		_, err := admin.ExecContext(ctx, "CREATE DATABASE "+name)
		return err
	}
	return u.String(), drop, renew, nil
}

// Redis is a server of our own that may be hurt.
type Redis struct {
	program, dir, port string
	cmd                *exec.Cmd
}

func newRedis(program string) (*Redis, error) {
	dir, err := os.MkdirTemp("", "footbridge-redis-")
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return &Redis{program: program, dir: dir, port: port}, l.Close()
}

// Addr is host:port.
func (s *Redis) Addr() string { return "127.0.0.1:" + s.port }

// Start starts it as the package of a distribution would: snapshots now and then, no log.
func (s *Redis) Start(ctx context.Context) error {
	s.cmd = exec.Command(s.program, "--port", s.port, "--bind", "127.0.0.1", "--dir", s.dir, "--save", "1 1", "--appendonly", "no") //nolint:gosec // a test's own
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("starting redis-server: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return until(ctx, func(ctx context.Context) error { return s.Do(ctx, "PING") })
}

// Do sends one command without arguments that hold spaces.
func (s *Redis) Do(ctx context.Context, command string) error {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", s.Addr())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // one command
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := fmt.Fprintf(conn, "%s\r\n", command); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && strings.HasPrefix(line, "-") {
		err = errors.New(strings.TrimSpace(line))
	}
	return err
}

// Kill ends it without warning.
func (s *Redis) Kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill() // may be gone
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

// Freeze stops it from answering, as a network that is cut does; Thaw lets it go on.
func (s *Redis) Freeze() error { return s.cmd.Process.Signal(syscall.SIGSTOP) }

// Thaw ends a freeze.
func (s *Redis) Thaw() error { return s.cmd.Process.Signal(syscall.SIGCONT) }

// Close ends it and removes its data.
func (s *Redis) Close() error {
	s.Kill()
	return os.RemoveAll(s.dir)
}
