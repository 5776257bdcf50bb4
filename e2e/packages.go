package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// debian names the package that brings each program. Nothing is installed on the machine: what is missing is unpacked into
// the cache folder and laid under /usr in the mount namespace of the checks alone, which needs no root.
var debian = map[string]string{
	"dnsmasq": "dnsmasq-base", "npm": "npm", "gcc": "gcc", "g++": "g++", "make": "make", "python3": "python3",
	"redis-server": "redis-server", "redis-cli": "redis-server", "/usr/lib/postgresql/*/bin/initdb": "postgresql",
	"/usr/lib/chromium/chromium": "chromium", "/usr/share/fonts/*/*/NotoSansArabic-Regular.ttf": "fonts-noto-core",
}

func (in *installed) unpacked(path string) string {
	return filepath.Join(in.cache, "debian", "root", path)
}

// packages brings what comes from Debian.
func (in *installed) packages(ctx context.Context) error {
	if len(in.missing(true)) == 0 {
		return nil
	}
	missing := in.missing(false) // all at once, so that one unpacking has everything
	fmt.Println("unpacking Debian packages:", strings.Join(missing, " "))
	if err := in.download(ctx, missing); err != nil {
		return err
	}
	if err := in.unpack(ctx); err != nil {
		return err
	}
	if missing := in.missing(true); len(missing) > 0 {
		return fmt.Errorf("Debian's packages did not bring all programs: no %s", strings.Join(missing, " "))
	}
	return nil
}

// missing lists the packages whose programs the machine lacks; with cached, those that were unpacked count as there.
func (in *installed) missing(cached bool) []string {
	var out []string
	for program, pkg := range debian {
		if !in.has(program, cached) {
			out = append(out, pkg)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (in *installed) has(program string, cached bool) bool {
	patterns := []string{program}
	if !strings.HasPrefix(program, "/") {
		if _, err := exec.LookPath(program); err == nil {
			return true
		}
		patterns = []string{"/usr/bin/" + program, "/usr/sbin/" + program}
	}
	for _, p := range patterns {
		if found, err := filepath.Glob(p); err == nil && len(found) > 0 {
			return true
		}
		if found, err := filepath.Glob(in.unpacked(p)); cached && err == nil && len(found) > 0 {
			return true
		}
	}
	return false
}

// download lets apt find what the packages depend on and the machine lacks, with lists and archives of our own.
func (in *installed) download(ctx context.Context, packages []string) error {
	dir := filepath.Join(in.cache, "debian")
	for _, d := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	options := []string{
		"-qq", "-y", "-o", "Dir::State::lists=" + dir + "/lists", "-o", "Dir::Cache=" + dir + "/cache", "-o", "Debug::NoLocking=1",
		"-o", "APT::Sandbox::User=", "-o", "APT::Install-Recommends=false", "-o", "DPkg::Post-Invoke=", "-o", "APT::Update::Post-Invoke=",
	}
	if err := in.run(ctx, dir, "apt-get", append(options, "update")...); err != nil {
		return err
	}
	return in.run(ctx, dir, "apt-get", append(append(options, "--download-only", "install"), packages...)...)
}

func (in *installed) unpack(ctx context.Context) error {
	// Renamed at the end: a half unpacked root must not be taken for a whole one.
	root := in.unpacked("") + ".new"
	for _, old := range []string{root, in.unpacked("")} {
		if err := os.RemoveAll(old); err != nil {
			return err
		}
	}
	// /bin, /lib and /sbin are part of /usr on every Debian of today.
	for _, name := range []string{"bin", "sbin", "lib", "lib64"} {
		if err := os.MkdirAll(filepath.Join(root, "usr", name), 0o755); err != nil {
			return err
		}
		if err := os.Symlink("usr/"+name, filepath.Join(root, name)); err != nil {
			return err
		}
	}
	archives, err := filepath.Glob(filepath.Join(in.cache, "debian", "cache", "archives", "*.deb"))
	if err == nil && len(archives) == 0 {
		err = errors.New("apt-get downloaded nothing")
	}
	if err != nil {
		return err
	}
	// Not dpkg-deb -x, which would put folders in the place of the links.
	const extract = `dpkg-deb --fsys-tarfile "$0" | tar -x --keep-directory-symlink --no-same-owner -C "$1"`
	for _, a := range archives {
		if err := in.run(ctx, root, "sh", "-ec", extract, a, root); err != nil {
			return err
		}
	}
	if err := os.Rename(root, in.unpacked("")); err != nil {
		return err
	}
	return os.RemoveAll(filepath.Join(in.cache, "debian", "cache"))
}
