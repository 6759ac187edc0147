// System calls that Glibc declares only under _GNU_SOURCE or not at all, and variadic ones: Swift cannot call those.
#ifndef SLUICE_CLINUX_SHIM_H
#define SLUICE_CLINUX_SHIM_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

// struct open_how of linux/openat2.h (kernel 5.6); declared here because Debian 12's Glibc has no header for it.
struct sluice_open_how {
    uint64_t flags;
    uint64_t mode;
    uint64_t resolve;
};

#define SLUICE_RESOLVE_NO_MAGICLINKS 0x02
#define SLUICE_RESOLVE_NO_SYMLINKS 0x04
#define SLUICE_RESOLVE_BENEATH 0x08

static inline int sluice_openat2(int directory, const char *path, uint64_t flags, uint64_t resolve) {
    struct sluice_open_how how = {flags, 0, resolve};
    return (int)syscall(437, directory, path, &how, sizeof how);
}

// RENAME_NOREPLACE is 1 (linux/fs.h).
static inline int sluice_rename_noreplace(int source, const char *from, int target, const char *to) {
    return (int)syscall(SYS_renameat2, source, from, target, to, 1);
}

static inline long sluice_directory_entries(int directory, void *buffer, size_t size) {
    return syscall(SYS_getdents64, directory, buffer, size);
}

// O_DIRECT, whose value is the processor's affair; Glibc has it under this name without _GNU_SOURCE.
static inline int sluice_direct_flag(void) {
#ifdef __O_DIRECT
    return __O_DIRECT;
#else
    return O_DIRECT;
#endif
}

static inline int sluice_syncfs(int descriptor) { return (int)syscall(SYS_syncfs, descriptor); }

// SYNC_FILE_RANGE_WAIT_BEFORE is 1 (linux/fs.h): waits for write-back under way and reports its errors.
static inline int sluice_write_back_status(int descriptor) {
    return (int)syscall(SYS_sync_file_range, descriptor, (int64_t)0, (int64_t)0, 1);
}

// SYNC_FILE_RANGE_WRITE is 2 (linux/fs.h): begins to write what is dirty and not on its way, and waits for none of it.
static inline int sluice_start_write_back(int descriptor) {
    return (int)syscall(SYS_sync_file_range, descriptor, (int64_t)0, (int64_t)0, 2);
}

// FALLOC_FL_KEEP_SIZE is 1 (linux/falloc.h): space is reserved, the length stays what was written.
static inline int sluice_reserve(int descriptor, int64_t count) {
    return (int)syscall(SYS_fallocate, descriptor, 1, (int64_t)0, count);
}

// TMPFS_MAGIC is 0x01021994 (linux/magic.h). 1: on a tmpfs; 0: elsewhere; -1: errno.
static inline int sluice_is_tmpfs(int descriptor) {
    struct statfs system;
    if (fstatfs(descriptor, &system) != 0) return -1;
    return system.f_type == 0x01021994;
}

// ZFS_SUPER_MAGIC is 0x2fc12fc1 (OpenZFS, zfs_fs.h). 1: on ZFS; 0: elsewhere; -1: errno.
static inline int sluice_is_zfs(int descriptor) {
    struct statfs system;
    if (fstatfs(descriptor, &system) != 0) return -1;
    return (unsigned long)system.f_type == 0x2fc12fc1UL;
}

// FICLONE is _IOW(0x94, 9, int) (linux/fs.h): shares the extents of another file of the same file system.
static inline int sluice_clone(int target, int source) { return ioctl(target, _IOW(0x94, 9, int), source); }

// PR_SET_DUMPABLE 0 (prctl(2)): no core dump, and no tracing by other processes of the same user.
static inline int sluice_forbid_dumps(void) { return prctl(PR_SET_DUMPABLE, 0UL, 0UL, 0UL, 0UL); }

#endif
