package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"footbridge/bridge/netguard"
	"footbridge/bridge/store"
	"footbridge/identity"
)

// Finding is the result of one check: what was looked at, and one sentence of what to do if it is not well.
type Finding struct {
	Name string
	OK   bool
	Say  string
}

// Limits below which the doctor speaks up.
const (
	minFree  = 1 << 30
	maxDrift = 30 * time.Second
)

// Doctor looks at everything that a bridge needs. It changes nothing but a file that it writes and removes.
func Doctor(ctx context.Context, c Config) []Finding {
	d := &doctor{c: c}
	if err := d.client(); err != nil {
		return append(d.findings, Finding{"network guard", false, err.Error()})
	}
	for _, check := range []struct {
		name string
		run  func(context.Context) (string, error)
	}{
		{"data folder", d.dataDir}, {"disk", d.disk}, {"keys", d.masterKey}, {"database", d.database}, {"Redis", d.redis},
		{"public address", d.public}, {"TLS", d.tls}, {"handle zone", d.zone}, {"PLC directory", d.plc}, {"relay", d.relay}, {"clock", d.clock},
	} {
		checkCtx, cancel := context.WithTimeout(ctx, 15*time.Second)
		say, err := check.run(checkCtx)
		cancel()
		if err != nil {
			d.findings = append(d.findings, Finding{check.name, false, err.Error()})
			continue
		}
		d.findings = append(d.findings, Finding{check.name, true, say})
	}
	return d.findings
}

type doctor struct {
	c        Config
	http     *http.Client
	findings []Finding
}

func (d *doctor) client() error {
	var ca []byte
	if d.c.DevCA != "" {
		text, err := os.ReadFile(d.c.DevCA)
		if err != nil {
			return fmt.Errorf("dev_ca cannot be read: %w", err)
		}
		ca = text
	}
	allow := d.c.DevAllow
	if d.c.OnTestHost() {
		allow = append([]string{d.c.Hostname()}, allow...)
	}
	guard, err := netguard.New(netguard.Options{DevAllow: allow, DevHTTP: len(allow) > 0, ExtraCA: ca, UserAgent: "Footbridge doctor"})
	if err == nil {
		d.http = guard.Client(netguard.DocumentLimit)
	}
	return err
}

func (d *doctor) dataDir(context.Context) (string, error) {
	if err := os.MkdirAll(d.c.DataDir, 0o700); err != nil {
		return "", fmt.Errorf("the folder %s cannot be made: give the bridge's user a folder of its own and set data_dir", d.c.DataDir)
	}
	probe := filepath.Join(d.c.DataDir, ".doctor")
	if err := os.WriteFile(probe, []byte("x"), 0o600); err != nil {
		return "", fmt.Errorf("the folder %s cannot be written to: chown it to the bridge's user", d.c.DataDir)
	}
	return "can be written to", os.Remove(probe)
}

func (d *doctor) disk(context.Context) (string, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(d.c.DataDir, &s); err != nil {
		return "", fmt.Errorf("the free space cannot be read: %w", err)
	}
	free := s.Bavail * uint64(s.Bsize) //nolint:gosec // a block size is never negative
	if free < minFree {
		return "", fmt.Errorf("only %d MiB are free: make room, a full disk stops the bridge", free>>20)
	}
	return fmt.Sprintf("%d GiB free", free>>30), nil
}

func (d *doctor) masterKey(context.Context) (string, error) {
	path := filepath.Join(d.c.DataDir, "master.key")
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return "will be made at the first start; keep a copy of it apart from the backups", nil
	}
	if _, err := identity.OpenKeyring(path); err != nil {
		return "", err
	}
	return "readable by the bridge alone; keep a copy apart from the backups", nil
}

func (d *doctor) database(ctx context.Context) (string, error) {
	path := filepath.Join(d.c.DataDir, "footbridge.db")
	if d.c.DatabaseURL == "" {
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			return "SQLite, will be made at the first start", nil
		}
	}
	db, err := store.Open(ctx, store.Options{URL: d.c.DatabaseURL, Path: path})
	if err != nil {
		return "", fmt.Errorf("the database does not open: check that it runs and that database_url is right (%w)", err)
	}
	return "opens, schema up to date", db.Close()
}

func (d *doctor) redis(ctx context.Context) (string, error) {
	if d.c.RedisURL == "" {
		return "not used; the lanes are in memory", nil
	}
	lanes, closeLanes, err := openRedis(ctx, d.c.RedisURL, nil)
	if err != nil {
		return "", err
	}
	if err := lanes.Open(ctx, "doctor"); err != nil {
		return "", errors.Join(fmt.Errorf("redis does not do: %w", err), closeLanes())
	}
	return "answers", closeLanes()
}

func (d *doctor) public(ctx context.Context) (string, error) {
	status, _, err := d.get(ctx, d.c.PublicURL+"/healthz")
	if err != nil || status != http.StatusOK {
		return "", fmt.Errorf("%s/healthz does not answer from here: start the bridge, and let the web server in front pass everything to %s", d.c.PublicURL, d.c.Listen)
	}
	return "answers", nil
}

func (d *doctor) get(ctx context.Context, url string) (int, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	resp, err := d.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	return resp.StatusCode, resp.Header, resp.Body.Close()
}

func (d *doctor) tls(ctx context.Context) (string, error) {
	if strings.HasPrefix(d.c.PublicURL, "http://") {
		return "not used on localhost", nil
	}
	name := "doctor." + d.c.HandleZone
	dialer := &tls.Dialer{Config: &tls.Config{ServerName: name, MinVersion: tls.VersionTLS12}}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(d.c.Hostname(), "443"))
	if err != nil {
		return "", fmt.Errorf("no valid certificate for *.%s: add the wildcard name to the web server's certificate", d.c.HandleZone)
	}
	return "the certificate covers the handle zone", conn.Close()
}

func (d *doctor) zone(ctx context.Context) (string, error) {
	if d.c.Offline() {
		return "not used on localhost", nil
	}
	if _, err := net.DefaultResolver.LookupHost(ctx, "doctor."+d.c.HandleZone); err != nil {
		return "", fmt.Errorf("names under %s do not resolve: add a DNS record for *.%s that points here", d.c.HandleZone, d.c.HandleZone)
	}
	return "names under " + d.c.HandleZone + " resolve", nil
}

func (d *doctor) plc(ctx context.Context) (string, error) {
	if d.c.Offline() {
		return "not used on localhost", nil
	}
	status, _, err := d.get(ctx, strings.TrimSuffix(d.c.PLCURL, "/")+"/_health")
	if err != nil || status != http.StatusOK {
		return "", fmt.Errorf("%s does not answer: nobody can join until it does; check the way out of this machine", d.c.PLCURL)
	}
	return "answers", nil
}

func (d *doctor) relay(ctx context.Context) (string, error) {
	if d.c.Offline() {
		return "not used on localhost", nil
	}
	for _, r := range d.c.Relays {
		url := strings.Replace(strings.Replace(strings.TrimSuffix(r, "/"), "wss://", "https://", 1), "ws://", "http://", 1)
		if status, _, err := d.get(ctx, url+"/xrpc/_health"); err != nil || status >= http.StatusInternalServerError {
			return "", fmt.Errorf("the relay %s does not answer: posts from Bluesky wait until it does, none is lost", r)
		}
	}
	return "answers", nil
}

func (d *doctor) clock(ctx context.Context) (string, error) {
	source := d.c.PLCURL
	if d.c.Offline() {
		return "not compared on localhost", nil
	}
	_, header, err := d.get(ctx, source)
	if err != nil {
		return "", fmt.Errorf("the clock cannot be compared, because %s does not answer", source)
	}
	theirs, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return "not compared: no date in the answer", nil //nolint:nilerr // nothing is wrong here
	}
	if drift := time.Since(theirs).Abs(); drift > maxDrift {
		return "", fmt.Errorf("the clock is off by %s: turn on time synchronisation, signatures are refused otherwise", drift.Round(time.Second))
	}
	return "right", nil
}
