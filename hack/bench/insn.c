//go:build ignore

/* Counts the instructions that qemu-aarch64 runs into the file of its argument out=FILE: for
   each thread a number in 64 bytes of its own, so that none slows another down.

   QEMU's header for plugins is in no Debian package. These are the few declarations of it
   that are used here, version 1, as QEMU documents them (docs/devel/tcg-plugins.rst). */
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
typedef void (*tb_translated)(qemu_plugin_id_t id, struct qemu_plugin_tb *tb);
typedef void (*tb_run)(unsigned int cpu, void *data);

extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, tb_translated cb);
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, tb_run cb, int flags, void *data);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

#define THREADS 1024
static struct { volatile uint64_t n; char apart[56]; } *count;

static void run(unsigned int cpu, void *data)
{
	count[cpu % THREADS].n += (uintptr_t)data;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	qemu_plugin_register_vcpu_tb_exec_cb(tb, run, 0, (void *)qemu_plugin_tb_n_insns(tb));
}

__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
	int file = argc == 1 && !strncmp(argv[0], "out=", 4) ? open(argv[0] + 4, O_RDWR | O_CREAT, 0644) : -1;
	if (file < 0 || ftruncate(file, THREADS * sizeof *count))
		return -1;
	count = mmap(NULL, THREADS * sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (count == MAP_FAILED)
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
