// A continuation that is resumed before its task has come to wait is not handed to an executor: the task goes on in
// place, on its own thread. libswift_Concurrency (not instrumented) orders the two with an atomic of the continuation,
// and tells ThreadSanitizer only half of it: `swift_continuation_resume` releases the task, and of the paths on which a
// task goes on, the one through an executor acquires it (`runJobInEstablishedExecutorContext`), the two in
// `swift_continuation_await` do not (Task.cpp). What is handed over on those looks like a race.
//
// `await` cannot be replaced here, since the library calls itself without the linker. What every instrumented caller
// calls next can: it frees the frame of the asynchronous call that has returned, before it looks at the result. A task
// that acquires itself there learns what was released to it, which are resumptions it has seen and its own past: the
// other releases of a task are those of its executor, acquired already, and its own.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>

// Nil in processes without the sanitizer, or without tasks, into which this is preloaded as well.
extern void __tsan_acquire(void *address) __attribute__((weak));
extern __attribute__((swiftcall)) void *swift_task_getCurrent(void) __attribute__((weak));

typedef __attribute__((swiftcall)) void (*dealloc_function)(void *frame);

__attribute__((swiftcall)) void swift_task_dealloc(void *frame) {
    static _Atomic(dealloc_function) next;
    dealloc_function dealloc = atomic_load_explicit(&next, memory_order_relaxed);
    if (!dealloc) {
        dealloc = (dealloc_function)dlsym(RTLD_NEXT, "swift_task_dealloc");
        atomic_store_explicit(&next, dealloc, memory_order_relaxed);
    }
    dealloc(frame);
    if (!__tsan_acquire || !swift_task_getCurrent) return;
    void *task = swift_task_getCurrent();
    if (task) __tsan_acquire(task);
}
