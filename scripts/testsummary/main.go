// Command testsummary reads the JSON of go test and prints the output of what failed, a line for each package, and last
// a line "N passed, N failed". It exits with 1 if anything failed or nothing ran.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64
}

type summary struct {
	output         map[string]*strings.Builder
	passed, failed int
}

func main() {
	if !run(os.Stdin, os.Stdout) {
		os.Exit(1)
	}
}

// run reports whether at least one test ran and all passed.
func run(in io.Reader, out io.Writer) bool {
	s := summary{output: map[string]*strings.Builder{}}
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 1<<20), 64<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			fmt.Fprintln(out, lines.Text()) // build errors of old toolchains are plain text
			continue
		}
		s.add(e, out)
	}
	if err := lines.Err(); err != nil {
		fmt.Fprintln(out, "reading the test output:", err)
		s.failed++
	}
	fmt.Fprintf(out, "%d passed, %d failed\n", s.passed, s.failed)
	return s.failed == 0 && s.passed > 0
}

func (s *summary) add(e event, out io.Writer) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "output", "build-output":
		b := s.output[key]
		if b == nil {
			b = &strings.Builder{}
			s.output[key] = b
		}
		b.WriteString(e.Output)
	case "build-fail":
		s.fail(key, out)
	case "fail":
		s.fail(key, out)
		delete(s.output, key)
	case "pass":
		s.pass(e, key, out)
	case "skip":
		if e.Test != "" {
			fmt.Fprintf(out, "skipped: %s\n%s", key, s.text(key))
			s.failed++ // a skip hides
		}
		delete(s.output, key)
	}
}

func (s *summary) pass(e event, key string, out io.Writer) {
	if e.Test == "" {
		fmt.Fprintf(out, "ok   %-45s %6.1fs\n", e.Package, e.Elapsed)
	} else {
		s.passed++
	}
	delete(s.output, key)
}

func (s *summary) fail(key string, out io.Writer) {
	fmt.Fprintf(out, "FAIL %s\n%s", key, s.text(key))
	s.failed++
}

func (s *summary) text(key string) string {
	if b := s.output[key]; b != nil {
		return b.String()
	}
	return ""
}
