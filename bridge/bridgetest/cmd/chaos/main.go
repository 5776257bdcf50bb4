// Command chaos plays faults on a whole running bridge while a workload crosses it, and prints what an independent oracle
// found:
//
//	go run ./bridge/bridgetest/cmd/chaos -faults F1,F4,F12 -seed 7 -dose 0.1 -db postgres -lanes redis
//
// PostgreSQL and redis-server are found by FOOTBRIDGE_TEST_POSTGRES and FOOTBRIDGE_TEST_REDIS_SERVER, as scripts/services.sh
// prints them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"strings"

	"footbridge/bridge/bridgetest"
	"footbridge/bridge/bridgetest/chaos"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

func run() error {
	if bridgetest.InProcess() {
		return bridgetest.RunProcess()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	names := flag.String("faults", "all", "names from the table, with commas, or all")
	seed := flag.Uint64("seed", rand.Uint64N(1_000_000), "makes the workload and the faults repeatable")
	seeds := flag.Int("seeds", 1, "how many seeds to play, counting up from the first")
	dose := flag.Float64("dose", 0.01, "part of the table's dose")
	db := flag.String("db", "sqlite", "sqlite or postgres")
	lanes := flag.String("lanes", "memory", "memory or redis")
	verbose := flag.Bool("v", false, "show the log of bridges that run apart")
	list := flag.Bool("list", false, "list the faults and those that are not played")
	flag.Parse()
	if *list {
		return show()
	}
	backend, err := backend(*db, *lanes)
	if err != nil {
		return err
	}
	faults := chaos.Faults()
	if *names != "all" {
		if faults, err = chaos.Find(strings.Split(*names, ",")); err != nil {
			return err
		}
	}
	plan := chaos.Plan{Backend: backend, Seed: *seed, Dose: *dose, Output: io.Discard}
	if *verbose {
		plan.Output = os.Stderr
	}
	fmt.Printf("seed %d, dose %g, %v\n", *seed, *dose, backend)
	return play(ctx, faults, plan, *seeds)
}

func play(ctx context.Context, faults []chaos.Fault, plan chaos.Plan, seeds int) error {
	var total chaos.Report
	good, bad := 0, 0
	for range seeds {
		for _, f := range faults {
			report, err := f.Run(ctx, plan)
			if err != nil {
				bad++
				fmt.Println("FAIL", err)
				if ctx.Err() != nil {
					return ctx.Err()
				}
				continue
			}
			report.Write(os.Stdout)
			if good++; !report.Good() {
				good, bad = good-1, bad+1
			}
			total.Add(report)
		}
		plan.Seed++
	}
	fmt.Printf("%d passed, %d failed; %d events; %v\n", good, bad, total.Events, total.Verdict)
	if bad > 0 {
		return errors.New("not everything held")
	}
	return nil
}

func backend(db, lanes string) (b chaos.Backend, err error) {
	find := func(name string) string {
		value := os.Getenv(name)
		if value == "" {
			err = fmt.Errorf("%s is not set; scripts/services.sh starts the services", name)
		}
		return value
	}
	switch db {
	case "sqlite":
	case "postgres":
		b.Postgres = find("FOOTBRIDGE_TEST_POSTGRES")
	default:
		return b, fmt.Errorf("unknown database %q", db)
	}
	switch lanes {
	case "memory":
	case "redis":
		b.Redis = find("FOOTBRIDGE_TEST_REDIS_SERVER")
	default:
		return b, fmt.Errorf("unknown lanes %q", lanes)
	}
	return b, err
}

func show() error {
	for _, f := range chaos.Faults() {
		fmt.Printf("%-4s %s\n", f.Name, f.What)
	}
	fmt.Println("\nnot played here:")
	for _, s := range chaos.Absent() {
		fmt.Println("    ", s)
	}
	return nil
}
