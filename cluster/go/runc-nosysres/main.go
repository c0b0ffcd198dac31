// Command runc-nosysres stands in front of runc on machines that lack CAP_SYS_RESOURCE.
//
// Such a machine (some virtual machines and containers) cannot grant that capability, nor lower an
// OOM score, so runc refuses every privileged container with "unable to apply caps". This program
// removes both wishes from the OCI bundle or process file and then becomes runc.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

const missing = "CAP_SYS_RESOURCE"

var runcPaths = []string{"/usr/local/sbin/runc", "/usr/sbin/runc", "/usr/bin/runc", "/usr/local/bin/runc"}

func main() {
	if path := specPath(os.Args[1:]); path != "" {
		if err := relax(path); err != nil {
			fmt.Fprintf(os.Stderr, "runc-nosysres: %s: %v\n", path, err)
			os.Exit(1)
		}
	}
	for _, runc := range runcPaths {
		if _, err := os.Stat(runc); err == nil {
			err = syscall.Exec(runc, append([]string{"runc"}, os.Args[1:]...), os.Environ())
			fmt.Fprintf(os.Stderr, "runc-nosysres: %s: %v\n", runc, err)
			os.Exit(1)
		}
	}
	fmt.Fprintf(os.Stderr, "runc-nosysres: no runc in %s\n", strings.Join(runcPaths, ", "))
	os.Exit(1)
}

// specPath names the file that holds the process this runc call would start, or "".
func specPath(args []string) string {
	switch {
	case slices.Contains(args, "create") || slices.Contains(args, "run"):
		return filepath.Join(flag(args, "--bundle", "-b", "."), "config.json")
	case slices.Contains(args, "exec"):
		return flag(args, "--process", "-p", "")
	}
	return ""
}

func flag(args []string, long, short, fallback string) string {
	for i, arg := range args {
		if value, found := strings.CutPrefix(arg, long+"="); found {
			return value
		}
		if (arg == long || arg == short) && i+1 < len(args) {
			return args[i+1]
		}
	}
	return fallback
}

func relax(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var spec map[string]any
	if err := json.Unmarshal(data, &spec); err != nil {
		return err
	}
	process, ok := spec["process"].(map[string]any)
	if !ok {
		process = spec
	}
	if capabilities, ok := process["capabilities"].(map[string]any); ok {
		for set, names := range capabilities {
			if list, ok := names.([]any); ok {
				capabilities[set] = slices.DeleteFunc(list, func(name any) bool { return name == missing })
			}
		}
	}
	if score, ok := process["oomScoreAdj"].(float64); ok && score < 0 {
		process["oomScoreAdj"] = 0
	}
	data, err = json.Marshal(spec)
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}
