package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"unsafe"
)

// Capabilities that an ordinary user has inside a user namespace of their own (capabilities(7)).
const (
	capNetBindService = 10
	capNetAdmin       = 12
	capSysAdmin       = 21
)

// apart makes a command run in new namespaces; who is not root gets a user namespace too, in which they stay who they
// are (PostgreSQL refuses to run as root) but may mount and configure the network.
func apart(cmd *exec.Cmd, flags uintptr) {
	attr := &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Geteuid(), HostID: os.Geteuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getegid(), HostID: os.Getegid(), Size: 1}}
		attr.AmbientCaps = []uintptr{capNetBindService, capNetAdmin, capSysAdmin}
	}
	cmd.SysProcAttr = attr
}

// mountPackages lays the unpacked Debian packages under the folders of this mount namespace, so that every program finds its
// files where it expects them. The machine's own files come first.
func (in *installed) mountPackages() error {
	// Nothing mounted here may be seen outside.
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making the mounts private: %w", err)
	}
	// One folder at a time: one that has mounts of its own below it (/usr/local, say) cannot be laid over by a user.
	for _, dir := range []string{"/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib64", "/usr/include", "/usr/share"} {
		if err := lay(in.unpacked(dir), dir); err != nil {
			return fmt.Errorf("laying the unpacked packages under %s: %w", dir, err)
		}
	}
	return nil
}

func lay(extra, dir string) error {
	for _, d := range []string{extra, dir} {
		if _, err := os.Stat(d); errors.Is(err, os.ErrNotExist) {
			return nil
		}
	}
	return syscall.Mount("overlay", dir, "overlay", syscall.MS_RDONLY, "lowerdir="+dir+":"+extra)
}

// execWith replaces this process by a command that sees the unpacked packages.
func execWith(cache string, args []string) error {
	in := &installed{cache: cache}
	if err := in.mountPackages(); err != nil {
		return err
	}
	program, err := exec.LookPath(args[0])
	if err != nil {
		return err
	}
	return fmt.Errorf("starting %s: %w", program, syscall.Exec(program, args, os.Environ()))
}

// command is a command that sees the unpacked packages, if there are any.
func (in *installed) command(ctx context.Context, name string, args ...string) (*exec.Cmd, error) {
	if _, err := os.Stat(in.unpacked("usr")); errors.Is(err, os.ErrNotExist) {
		return exec.CommandContext(ctx, name, args...), nil
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, append([]string{"-with", in.cache, name}, args...)...)
	apart(cmd, syscall.CLONE_NEWNS)
	return cmd, nil
}

// settle makes the network namespace that this process is in a small world of its own: loopback, names from the resolver
// at 127.0.0.1, nothing else.
func (w *world) settle() error {
	if err := w.in.mountPackages(); err != nil {
		return err
	}
	if err := loopbackUp(); err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	files := map[string]string{
		"/etc/hosts":       "127.0.0.1 localhost\n",
		"/etc/resolv.conf": "nameserver 127.0.0.1\noptions timeout:1 attempts:2\n",
	}
	if text, err := os.ReadFile("/etc/nsswitch.conf"); err == nil {
		files["/etc/nsswitch.conf"] = plainHosts(string(text))
	}
	for path, text := range files {
		if err := w.bind(path, text); err != nil {
			return err
		}
	}
	return nil
}

// plainHosts asks the hosts file and DNS alone: resolvers that answer over a socket would answer from outside.
func plainHosts(nsswitch string) string {
	var out strings.Builder
	for line := range strings.Lines(nsswitch) {
		if strings.HasPrefix(strings.TrimSpace(line), "hosts:") {
			line = "hosts: files dns\n"
		}
		out.WriteString(line)
	}
	return out.String()
}

// bind puts a text in the place of a file, in this mount namespace only.
func (w *world) bind(path, text string) error {
	ours := filepath.Join(w.state, filepath.Base(path))
	if err := os.WriteFile(ours, []byte(text), 0o644); err != nil {
		return err
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := syscall.Mount(ours, real, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("putting a file in the place of %s: %w", path, err)
	}
	return nil
}

// loopbackUp is `ip link set lo up` (netdevice(7)).
func loopbackUp() error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = syscall.Close(fd) }() // nothing was written to it
	var request struct {
		name  [syscall.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}
	copy(request.name[:], "lo")
	request.flags = syscall.IFF_UP | syscall.IFF_RUNNING
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&request)))
	if errno != 0 {
		return errno
	}
	return nil
}
