package image

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const gb = 1e9

// computer is the root of a system with /dev/sda, which it runs from, and cards:
// sdb in a USB reader with two partitions, and mmcblk0 in a slot.
func computer(t *testing.T) *System {
	t.Helper()
	s := &System{Root: t.TempDir()}
	addDisk(t, s, "sda", "8:0", 512*gb, map[string]string{"device/vendor": "ATA", "device/model": "Samsung SSD", "removable": "0"}, "sda1", "8:1", "sda2", "8:2")
	addDisk(t, s, "sdb", "8:16", 32*gb, map[string]string{"device/vendor": "Generic", "device/model": "STORAGE  DEVICE ", "removable": "1"}, "sdb1", "8:17", "sdb2", "8:18")
	addDisk(t, s, "mmcblk0", "179:0", 16*gb, map[string]string{"device/name": "SU16G", "device/type": "SD", "removable": "0"}, "mmcblk0p1", "179:1")
	write(t, s, "proc/self/mountinfo", `22 1 8:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw
23 22 0:21 / /proc rw - proc proc rw
24 22 8:1 / /boot/efi rw - vfat /dev/sda1 rw
`)
	write(t, s, "proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n")
	return s
}

func addDisk(t *testing.T, s *System, name, number string, size float64, files map[string]string, parts ...string) {
	t.Helper()
	dir := "sys/devices/" + name
	for file, content := range files {
		write(t, s, dir+"/"+file, content+"\n")
	}
	write(t, s, dir+"/dev", number+"\n")
	write(t, s, dir+"/size", strconv.FormatInt(int64(size)/sectorSize, 10)+"\n")
	link(t, s, name, dir)
	for i := 0; i < len(parts); i += 2 {
		write(t, s, dir+"/"+parts[i]+"/partition", "1\n")
		write(t, s, dir+"/"+parts[i]+"/dev", parts[i+1]+"\n")
		link(t, s, parts[i], dir+"/"+parts[i])
	}
}

func link(t *testing.T, s *System, name, dir string) {
	t.Helper()
	write(t, s, "dev/"+name, "")
	if err := os.MkdirAll(s.path("sys/class/block"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join("../../..", dir), s.path("sys/class/block", name)); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, s *System, path, content string) {
	t.Helper()
	path = s.path(path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestDisk(t *testing.T) {
	mounted := func(line string) func(*testing.T, *System) {
		return func(t *testing.T, s *System) {
			write(t, s, "proc/self/mountinfo", "22 1 8:2 / / rw - ext4 /dev/sda2 rw\n"+line+"\n")
		}
	}
	file := func(path, content string) func(*testing.T, *System) {
		return func(t *testing.T, s *System) { write(t, s, path, content) }
	}
	card := &Disk{Path: "/dev/sdb", Model: "Generic STORAGE DEVICE", Size: 32 * gb}
	tests := []struct {
		name  string
		path  string
		setup func(*testing.T, *System)
		want  *Disk
		error string
	}{
		{name: "a card in a reader", path: "/dev/sdb", want: card},
		{name: "a card in a slot", path: "/dev/mmcblk0", want: &Disk{Path: "/dev/mmcblk0", Model: "SU16G", Size: 16 * gb}},
		{name: "write-protected", path: "/dev/sdb", setup: file("sys/devices/sdb/ro", "1\n"),
			want: &Disk{Path: "/dev/sdb", Model: "Generic STORAGE DEVICE", Size: 32 * gb, ReadOnly: true}},
		{name: "a link to it", path: "/dev/disk/by-id/usb-card", want: &Disk{Path: "/dev/disk/by-id/usb-card", Model: card.Model, Size: card.Size},
			setup: func(t *testing.T, s *System) {
				write(t, s, "dev/disk/by-id/other", "")
				if err := os.Symlink("../../sdb", s.path("dev/disk/by-id/usb-card")); err != nil {
					t.Fatal(err)
				}
			}},
		{name: "nothing there", path: "/dev/sdz", error: "there is no /dev/sdz"},
		{name: "a file", path: "/home/picture.jpg", setup: file("home/picture.jpg", ""), error: "not a disk"},
		{name: "a folder", path: "/dev", error: "not a disk"},
		{name: "a partition", path: "/dev/sdb1", error: "the whole disk, /dev/sdb"},
		{name: "a partition of a slot", path: "/dev/mmcblk0p1", error: "the whole disk, /dev/mmcblk0"},
		{name: "the system's", path: "/dev/sda", error: "this computer runs from /dev/sda"},
		{name: "mounted", path: "/dev/sdb", setup: mounted(`25 22 8:17 / /media/me/my\040card rw - vfat /dev/sdb1 rw`), error: "mounted at /media/me/my card"},
		{name: "mounted as a whole", path: "/dev/sdb", setup: mounted("25 22 8:16 / /mnt rw shared:2 - vfat /dev/sdb rw"), error: "mounted at /mnt"},
		{name: "mounted by another name", path: "/dev/sdb", setup: mounted("25 22 8:18 / /mnt rw - ext4 /dev/root rw"), error: "mounted at /mnt"},
		{name: "btrfs has its own numbers", path: "/dev/sdb", setup: mounted("25 22 0:44 / /mnt rw - btrfs /dev/sdb2 rw"), error: "mounted at /mnt"},
		{name: "a share of that name", path: "/dev/sdb", setup: mounted("25 22 0:45 / /mnt rw - cifs //server/sdb rw"), want: card},
		{name: "a live system's stick", path: "/dev/sdb", setup: mounted("25 22 8:17 / /run/live/medium ro - iso9660 /dev/sdb1 ro"), error: "runs from /dev/sdb"},
		{name: "swap", path: "/dev/sdb", setup: file("proc/swaps", "Filename\tType\n/dev/sdb2                partition\t1\t0\t-2\n"), error: "swaps to /dev/sdb2"},
		{name: "encrypted", path: "/dev/sdb", setup: file("sys/devices/sdb/sdb2/holders/dm-0", ""), error: "/dev/sdb2 is part of dm-0"},
		{name: "RAID member", path: "/dev/sdb", setup: file("sys/devices/sdb/holders/md0", ""), error: "/dev/sdb is part of md0"},
		{name: "LVM volume", path: "/dev/dm-0", error: "put together from other disks", setup: func(t *testing.T, s *System) {
			addDisk(t, s, "dm-0", "253:0", 32*gb, map[string]string{"dm/name": "vg-root"})
		}},
		{name: "no list of what is mounted", path: "/dev/sdb", error: "what is mounted", setup: func(t *testing.T, s *System) {
			if err := os.Remove(s.path("proc/self/mountinfo")); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "a list that is not one", path: "/dev/sdb", setup: mounted("nonsense"), error: `cannot read "nonsense"`},
		{name: "no size", path: "/dev/sdb", setup: file("sys/devices/sdb/size", "much\n"), error: "size of /dev/sdb"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			s := computer(t)
			if tc.setup != nil {
				tc.setup(t, s)
			}
			got, err := s.Disk(tc.path)
			if tc.error == "" && err != nil {
				t.Fatal(err)
			}
			if tc.error != "" && (err == nil || !strings.Contains(err.Error(), tc.error)) {
				t.Errorf("error %v, want %q in it", err, tc.error)
			}
			if diff := cmp.Diff(tc.want, got, cmpopts.IgnoreUnexported(Disk{})); diff != "" {
				t.Errorf("disk (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCandidates(t *testing.T) {
	s := computer(t)
	addDisk(t, s, "sdc", "8:32", 0, map[string]string{"removable": "1"})       // an empty reader
	addDisk(t, s, "sdd", "8:48", 2000*gb, map[string]string{"removable": "1"}) // a backup
	var got []string
	for _, d := range s.Candidates() {
		got = append(got, d.String())
	}
	want := []string{"/dev/mmcblk0 (SU16G, 16.0 GB)", "/dev/sdb (Generic STORAGE DEVICE, 32.0 GB)"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("candidates (-want +got):\n%s", diff)
	}
}

func TestFits(t *testing.T) {
	tests := []struct {
		name  string
		disk  Disk
		large bool
		want  string
	}{
		{"a card", Disk{Size: 32 * gb}, false, ""},
		{"as large as the image", Disk{Size: 2 * gb}, false, ""},
		{"the largest card", Disk{Size: Large}, false, ""},
		{"an empty reader", Disk{}, false, "no card"},
		{"a card that is too small", Disk{Size: 2*gb - 512}, false, "too small"},
		{"a disk", Disk{Size: Large + 512}, false, "-large"},
		{"a disk that is meant", Disk{Size: Large + 512}, true, ""},
		{"locked", Disk{Size: 32 * gb, ReadOnly: true}, false, "write-protected"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			err := tc.disk.fits(2*gb, tc.large)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q in it", err, tc.want)
			}
		})
	}
}
