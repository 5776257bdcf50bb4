package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// browserChecks look at the pages as people do, in Chromium. They are run in the first round only: pages do not differ by
// where the state lies.
func (t *tale) browserChecks() []check {
	if t.w.services {
		return nil
	}
	return []check{
		{"browser-pages", t.browserPages},
		{"browser-join", t.browserJoin},
		{"browser-join-at", t.browserJoinAT},
	}
}

// startMasto serves the Mastodon API at masto.test until the round ends.
func (w *world) startMasto(context.Context) (err error) {
	if w.services {
		return nil
	}
	if w.masto, err = newMasto(); err != nil {
		return err
	}
	server := &http.Server{Addr: "127.0.0.1:8084", Handler: w.masto.handler(), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	return eventually(context.Background(), 5*time.Second, func(ctx context.Context) error {
		select {
		case err := <-failed:
			return err
		default:
			return w.ok(ctx, mastoURL+"/users/dora")
		}
	})
}

func (t *tale) browserPages(ctx context.Context) error { return t.w.browse(ctx, "pages.mjs") }

// browserJoin: dora joins and leaves with her account at masto.test, by keyboard alone.
func (t *tale) browserJoin(ctx context.Context) error {
	if err := t.w.browse(ctx, "join.mjs"); err != nil {
		return err
	}
	revoked, live, received := t.w.masto.left()
	if revoked == 0 || live > 0 {
		return fmt.Errorf("%d tokens were given back and %d are still good", revoked, live)
	}
	for _, a := range received {
		if strings.Contains(fmt.Sprint(a), "receipt") {
			return nil
		}
	}
	return fmt.Errorf("no receipt among the %d activities that came to dora", len(received))
}

// browserJoinAT: olga signs in at the reference PDS's own screen.
func (t *tale) browserJoinAT(ctx context.Context) error {
	err := t.w.call(ctx, http.MethodPost, pdsB+"/xrpc/com.atproto.server.createAccount",
		object{"handle": "olga.pdsb.test", "email": "olga@example.com", "password": "correct horse"}, nil)
	if err != nil {
		return err
	}
	return t.w.browse(ctx, "join-at.mjs")
}

// picturesInto tells the rounds to write pictures of the pages into a folder.
func picturesInto(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	return errors.Join(os.MkdirAll(dir, 0o755), os.Setenv("E2E_SCREENS", dir))
}

// fontconfig finds the fonts also where Debian's packages were only unpacked.
const fontconfig = `<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>
<include ignore_missing="yes">/etc/fonts/fonts.conf</include><dir>/usr/share/fonts</dir><cachedir>%s</cachedir></fontconfig>`

// browse runs one of the browser's programs; what it prints says what is wrong.
func (w *world) browse(ctx context.Context, program string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	home := filepath.Join(w.state, "browser")
	if err := os.MkdirAll(home, 0o755); err != nil {
		return err
	}
	fonts := filepath.Join(home, "fonts.conf")
	if err := os.WriteFile(fonts, fmt.Appendf(nil, fontconfig, filepath.Join(home, "fonts")), 0o644); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(w.in.node(), "bin", "node"), program)
	cmd.Dir = filepath.Join(w.in.cache, "browser")
	cmd.Env = append(os.Environ(), "BASE="+bridgeURL, "APPVIEW="+appViewURL, "SCREENS="+os.Getenv("E2E_SCREENS"), "NODE_EXTRA_CA_CERTS="+w.ca(),
		"HOME="+home, "FONTCONFIG_FILE="+fonts)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it takes the browser along
	cmd.WaitDelay = 10 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return errors.Join(fmt.Errorf("%s: %w", program, err), errors.New(lastLines(out.String(), 40)))
	}
	return nil
}
