/* A CUDA driver without a GPU, for the real PyCUDA and the real cuda-bindings.

   Device memory is host memory, poisoned when it is taken and when it is freed. Streams are lazy:
   what is queued happens only where something waits for it, so a forgotten wait shows as wrong
   pixels. Every call that needs a context and has none is counted, and so is all that is made and
   not destroyed; a copy has to lie inside memory that is allocated when it happens. What is put on a
   stream that captures is only recorded, with its addresses, and done when the graph is launched;
   calls that capture forbids fail, and the capture with them. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long long Address;
enum {
    SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, INVALID_DEVICE = 101, INVALID_CONTEXT = 201,
    ILLEGAL_STATE = 401, NOT_FOUND = 500, NOT_READY = 600, CAPTURE_UNSUPPORTED = 900,
    CAPTURE_INVALIDATED = 901, CAPTURE_ISOLATION = 905, CAPTURE_WRONG_THREAD = 908
};
enum { GLOBAL_MODE = 0, THREAD_LOCAL_MODE = 1 };
enum { POISON = 0xCB, NON_BLOCKING = 1, BLOCKING_SYNC = 1, MAX_DEPTH = 64 };
static const size_t TOTAL = 8UL << 30;

typedef struct Block { char *at; size_t size; int on_host, device; struct Block *next; } Block;
typedef struct Work {
    enum { COPY, WAIT, CALL } kind;
    char *to; const char *from; size_t size, rows, to_pitch, from_pitch;
    struct Stream *other; long position;
    void (*function)(void *); void *argument;
    struct Work *next;
} Work;
typedef struct Graph { Work *first, *last; int broken, mode; pthread_t owner; } Graph;
typedef struct Stream {
    pthread_mutex_t draining;
    Graph *capture;
    Work *first, *last;
    long queued, done;
    struct Stream *next;
} Stream;
typedef struct Event { Stream *stream; long position; } Event;

static pthread_mutex_t lock;  /* of all that follows */
static Block *blocks;
static Stream *streams;       /* never freed, for events may still name them */
static long device_bytes, device_blocks, host_blocks, live_streams, live_events;
static long without_context, bad_copies, pageable_copies, legacy_streams, spinning_events, copies;
static long live_graphs, captures, broken_captures, launches;
static __thread void *stack[MAX_DEPTH];
static __thread int depth;
static int the_context;

static void init(pthread_mutex_t *mutex) {
    pthread_mutexattr_t kind;
    pthread_mutexattr_init(&kind);
    pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(mutex, &kind);
}
__attribute__((constructor)) static void start(void) { init(&lock); }

static long add(long *count, long more) { return __sync_add_and_fetch(count, more); }
#define NEEDS_CONTEXT if (!depth) { add(&without_context, 1); return INVALID_CONTEXT; }

/* What a test asks for afterwards, by name; -1 for a name that there is not. */
long fake_count(const char *name) {
    struct { const char *name; long value; } all[] = {
        {"device blocks", device_blocks}, {"host blocks", host_blocks},
        {"streams", live_streams}, {"events", live_events}, {"depth", depth},
        {"without context", without_context}, {"bad copies", bad_copies},
        {"pageable copies", pageable_copies}, {"legacy streams", legacy_streams},
        {"spinning events", spinning_events}, {"copies", copies},
        {"graphs", live_graphs}, {"captures", captures},
        {"broken captures", broken_captures}, {"launches", launches},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!strcmp(all[i].name, name)) return all[i].value;
    return -1;
}

/* Memory of another library, which a GPU can reach as well; it is never given back. */
void fake_adopt(void *at, size_t size) {
    Block *block = malloc(sizeof *block);
    pthread_mutex_lock(&lock);
    *block = (Block){.at = at, .size = size, .next = blocks};
    blocks = block;
    pthread_mutex_unlock(&lock);
}

/* With FAKE_LIBCUDA_REPORT=FILE, what is left when the process ends is written there. */
__attribute__((destructor)) static void report(void) {
    const char *path = getenv("FAKE_LIBCUDA_REPORT");
    FILE *file = path ? fopen(path, "w") : NULL;
    if (!file) return;
    fprintf(file, "{\"left\": %ld, \"without context\": %ld, \"bad copies\": %ld}\n",
            device_blocks + host_blocks + live_streams + live_events + live_graphs, without_context, bad_copies);
    fclose(file);
}

static Block *block_of(const void *at, size_t size) {
    for (Block *block = blocks; block; block = block->next)
        if ((char *)at >= block->at && (char *)at + size <= block->at + block->size) return block;
    return NULL;
}

/* Lets adopted memory lie on another device, of which the driver has nothing else to tell. */
void fake_move(const void *at, int device) { block_of(at, 1)->device = device; }

int cuPointerGetAttribute(void *value, int attribute, Address at) {
    NEEDS_CONTEXT
    enum { DEVICE_ORDINAL = 9 };
    pthread_mutex_lock(&lock);
    Block *block = attribute == DEVICE_ORDINAL ? block_of((void *)at, 1) : NULL;
    if (block) *(int *)value = block->device;
    pthread_mutex_unlock(&lock);
    return block ? SUCCESS : INVALID_VALUE;
}

/* Of a call that captures forbid: those of the thread itself, or of every one. */
static int breaks_captures(int of_all) {
    int broken = 0;
    pthread_mutex_lock(&lock);
    for (Stream *stream = streams; stream; stream = stream->next) {
        Graph *graph = stream->capture;
        int own = graph && graph->mode == THREAD_LOCAL_MODE
                  && pthread_equal(graph->owner, pthread_self());
        if (graph && (of_all || own || graph->mode == GLOBAL_MODE)) graph->broken = broken = 1;
    }
    pthread_mutex_unlock(&lock);
    return broken;
}
#define BREAKS_CAPTURES(of_all) if (breaks_captures(of_all)) return CAPTURE_UNSUPPORTED;
#define BREAKS_CAPTURE_OF(stream) \
    if ((stream)->capture) { (stream)->capture->broken = 1; return CAPTURE_UNSUPPORTED; }

static int take(void **at, size_t size, int on_host) {
    NEEDS_CONTEXT
    BREAKS_CAPTURES(0)
    if (!size) return INVALID_VALUE;
    pthread_mutex_lock(&lock);
    int full = !on_host && device_bytes + size > TOTAL;
    size_t whole = (size + 511) & ~511UL;
    void *memory = full ? NULL : aligned_alloc(512, whole);
    if (memory) {
        memset(memory, POISON, whole);
        Block *block = malloc(sizeof *block);
        *block = (Block){.at = memory, .size = size, .on_host = on_host, .next = blocks};
        blocks = block;
        if (on_host) host_blocks++; else { device_blocks++; device_bytes += size; }
        *at = memory;
    }
    pthread_mutex_unlock(&lock);
    return memory ? SUCCESS : OUT_OF_MEMORY;
}

static int synchronize_all(void);

static int release(void *at, int on_host) {
    NEEDS_CONTEXT
    BREAKS_CAPTURES(0)
    synchronize_all();  /* as the driver does */
    pthread_mutex_lock(&lock);
    Block **place = &blocks;
    while (*place && ((*place)->at != at || (*place)->on_host != on_host)) place = &(*place)->next;
    Block *block = *place;
    if (block) {
        *place = block->next;
        memset(at, POISON, block->size);
        if (on_host) host_blocks--; else { device_blocks--; device_bytes -= block->size; }
        free(at);
        free(block);
    }
    pthread_mutex_unlock(&lock);
    return block ? SUCCESS : INVALID_VALUE;
}

static void drain(Stream *stream, long until) {
    pthread_mutex_lock(&stream->draining);
    for (;;) {
        pthread_mutex_lock(&lock);
        Work *work = stream->done < until ? stream->first : NULL;
        if (work && !(stream->first = work->next)) stream->last = NULL;
        pthread_mutex_unlock(&lock);
        if (!work) break;
        if (work->kind == WAIT) drain(work->other, work->position);
        else if (work->kind == CALL) work->function(work->argument);
        else {
            pthread_mutex_lock(&lock);
            for (size_t row = 0; row < work->rows; row++) {
                char *to = work->to + row * work->to_pitch;
                const char *from = work->from + row * work->from_pitch;
                if (block_of(to, work->size) && block_of(from, work->size))
                    memcpy(to, from, work->size);
                else bad_copies++;
            }
            copies++;
            pthread_mutex_unlock(&lock);
        }
        free(work);
        add(&stream->done, 1);
    }
    pthread_mutex_unlock(&stream->draining);
}

static int put(Stream *stream, Work given) {
    Work *work = malloc(sizeof *work);
    *work = given;
    work->next = NULL;
    pthread_mutex_lock(&lock);
    Graph *graph = stream->capture;
    Work **first = graph ? &graph->first : &stream->first, **last = graph ? &graph->last : &stream->last;
    if (*last) (*last)->next = work; else *first = work;
    *last = work;
    if (!graph) stream->queued++;
    pthread_mutex_unlock(&lock);
    return SUCCESS;
}

static int copy(void *to, const void *from, size_t size, const void *host, Stream *stream) {
    NEEDS_CONTEXT
    pthread_mutex_lock(&lock);
    Block *block = host ? block_of(host, size) : NULL;
    if (host && !(block && block->on_host)) pageable_copies++;
    pthread_mutex_unlock(&lock);
    return put(stream, (Work){.kind = COPY, .to = to, .from = from, .size = size, .rows = 1});
}

static int synchronize_all(void) {
    for (Stream *stream = streams; stream; stream = stream->next) drain(stream, stream->queued);
    return SUCCESS;
}

int cuInit(unsigned flags) { (void)flags; return SUCCESS; }
int cuDriverGetVersion(int *version) { *version = 13000; return SUCCESS; }
int cuDeviceGetCount(int *count) { *count = 1; return SUCCESS; }
int cuDeviceGet(int *device, int index) { *device = 0; return index ? INVALID_DEVICE : SUCCESS; }
int cuDeviceGetName(char *name, int size, int device) {
    (void)device;
    snprintf(name, size, "Fake GPU");
    return SUCCESS;
}
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    (void)device;
    *value = attribute == 75 ? 8 : attribute == 76 ? 9 : 0;  /* the compute capability */
    return SUCCESS;
}
int cuDeviceComputeCapability(int *major, int *minor, int device) {
    (void)device;
    *major = 8, *minor = 9;
    return SUCCESS;
}
int cuDeviceTotalMem_v2(size_t *bytes, int device) { (void)device; *bytes = TOTAL; return SUCCESS; }
int cuDevicePrimaryCtxRetain(void **context, int device) {
    (void)device;
    *context = &the_context;
    return SUCCESS;
}
int cuDevicePrimaryCtxRelease_v2(int device) { (void)device; return SUCCESS; }

int cuCtxPushCurrent_v2(void *context) {
    if (depth == MAX_DEPTH) return INVALID_VALUE;
    stack[depth++] = context;
    return SUCCESS;
}
int cuCtxPopCurrent_v2(void **context) {
    NEEDS_CONTEXT
    void *top = stack[--depth];
    if (context) *context = top;
    return SUCCESS;
}
int cuCtxGetCurrent(void **context) { *context = depth ? stack[depth - 1] : NULL; return SUCCESS; }
int cuCtxGetDevice(int *device) { NEEDS_CONTEXT *device = 0; return SUCCESS; }
int cuCtxGetApiVersion(void *context, unsigned *version) {
    (void)context;
    *version = 13000;
    return SUCCESS;
}
int cuCtxSynchronize(void) { NEEDS_CONTEXT BREAKS_CAPTURES(1) return synchronize_all(); }

int cuMemAlloc_v2(Address *address, size_t size) { return take((void **)address, size, 0); }
int cuMemFree_v2(Address address) { return release((void *)address, 0); }
int cuMemHostAlloc(void **at, size_t size, unsigned flags) { (void)flags; return take(at, size, 1); }
int cuMemFreeHost(void *at) { return release(at, 1); }
int cuMemGetInfo_v2(size_t *available, size_t *total) {
    NEEDS_CONTEXT
    *available = TOTAL - device_bytes;
    *total = TOTAL;
    return SUCCESS;
}
int cuMemcpyHtoDAsync_v2(Address to, const void *from, size_t size, Stream *stream) {
    return copy((void *)to, from, size, from, stream);
}
int cuMemcpyDtoHAsync_v2(void *to, Address from, size_t size, Stream *stream) {
    return copy(to, (void *)from, size, to, stream);
}
int cuMemcpyDtoDAsync_v2(Address to, Address from, size_t size, Stream *stream) {
    return copy((void *)to, (void *)from, size, NULL, stream);
}

/* CUDA_MEMCPY2D; both sides on the device, from their beginnings on. */
typedef struct Side {
    size_t x, y; int kind; const void *host; Address device; void *array; size_t pitch;
} Side;
typedef struct Rows { Side from, to; size_t width, height; } Rows;
int cuMemcpy2DAsync_v2(const Rows *rows, Stream *stream) {
    NEEDS_CONTEXT
    enum { ON_DEVICE = 2 };
    const Side *from = &rows->from, *to = &rows->to;
    if (from->kind != ON_DEVICE || to->kind != ON_DEVICE || from->x || from->y || to->x || to->y
        || from->pitch < rows->width || to->pitch < rows->width || !rows->width || !rows->height)
        return INVALID_VALUE;
    return put(stream, (Work){
        .kind = COPY, .to = (char *)to->device, .from = (char *)from->device, .size = rows->width,
        .rows = rows->height, .to_pitch = to->pitch, .from_pitch = from->pitch});
}

int cuStreamCreate(Stream **made, unsigned flags) {
    NEEDS_CONTEXT
    Stream *stream = calloc(1, sizeof *stream);
    init(&stream->draining);
    pthread_mutex_lock(&lock);
    stream->next = streams;
    streams = stream;
    live_streams++;
    if (!(flags & NON_BLOCKING)) legacy_streams++;
    pthread_mutex_unlock(&lock);
    *made = stream;
    return SUCCESS;
}
int cuStreamDestroy_v2(Stream *stream) {
    NEEDS_CONTEXT
    BREAKS_CAPTURE_OF(stream)
    drain(stream, stream->queued);
    add(&live_streams, -1);
    return SUCCESS;
}
int cuStreamSynchronize(Stream *stream) {
    NEEDS_CONTEXT
    BREAKS_CAPTURE_OF(stream)
    drain(stream, stream->queued);
    return SUCCESS;
}
int cuStreamQuery(Stream *stream) {
    NEEDS_CONTEXT
    BREAKS_CAPTURE_OF(stream)
    return stream->done == stream->queued ? SUCCESS : NOT_READY;
}
int cuStreamWaitEvent(Stream *stream, Event *event, unsigned flags) {
    NEEDS_CONTEXT
    (void)flags;
    if (!event->stream) return SUCCESS;
    if (stream->capture) {  /* of work from without */
        stream->capture->broken = 1;
        return CAPTURE_ISOLATION;
    }
    return put(stream, (Work){.kind = WAIT, .other = event->stream, .position = event->position});
}
int cuLaunchHostFunc(Stream *stream, void (*function)(void *), void *argument) {
    NEEDS_CONTEXT
    return put(stream, (Work){.kind = CALL, .function = function, .argument = argument});
}

int cuEventCreate(Event **event, unsigned flags) {
    NEEDS_CONTEXT
    *event = calloc(1, sizeof **event);
    add(&live_events, 1);
    if (!(flags & BLOCKING_SYNC)) add(&spinning_events, 1);
    return SUCCESS;
}
int cuEventDestroy_v2(Event *event) {
    NEEDS_CONTEXT
    free(event);
    add(&live_events, -1);
    return SUCCESS;
}
int cuEventRecord(Event *event, Stream *stream) {
    NEEDS_CONTEXT
    if ((Address)stream <= 2) {  /* the default streams, on which nothing is put here */
        event->stream = NULL;
        return SUCCESS;
    }
    BREAKS_CAPTURE_OF(stream)  /* which the driver does not: other streams could join it there */
    event->stream = stream;
    event->position = stream->queued;
    return SUCCESS;
}
int cuEventSynchronize(Event *event) {
    NEEDS_CONTEXT
    if (event->stream) drain(event->stream, event->position);
    return SUCCESS;
}
int cuEventQuery(Event *event) {
    NEEDS_CONTEXT
    return !event->stream || event->stream->done >= event->position ? SUCCESS : NOT_READY;
}

int cuStreamBeginCapture_v2(Stream *stream, int mode) {
    NEEDS_CONTEXT
    BREAKS_CAPTURE_OF(stream)
    Graph *graph = calloc(1, sizeof *graph);
    graph->mode = mode;
    graph->owner = pthread_self();
    add(&live_graphs, 1);
    stream->capture = graph;
    return SUCCESS;
}
static int destroy(Graph *graph) {
    while (graph->first) {
        Work *work = graph->first;
        graph->first = work->next;
        free(work);
    }
    free(graph);
    add(&live_graphs, -1);
    return SUCCESS;
}
int cuStreamEndCapture(Stream *stream, Graph **made) {
    NEEDS_CONTEXT
    Graph *graph = stream->capture;
    *made = NULL;
    if (!graph) return ILLEGAL_STATE;
    if (!pthread_equal(graph->owner, pthread_self())) {
        graph->broken = 1;
        return CAPTURE_WRONG_THREAD;
    }
    stream->capture = NULL;
    if (graph->broken) {
        destroy(graph);
        add(&broken_captures, 1);
        return CAPTURE_INVALIDATED;
    }
    add(&captures, 1);
    *made = graph;
    return SUCCESS;
}
int cuGraphInstantiateWithFlags(Graph **made, Graph *graph, unsigned long long flags) {
    NEEDS_CONTEXT
    (void)flags;
    *made = calloc(1, sizeof **made);
    add(&live_graphs, 1);
    for (Work *work = graph->first; work; work = work->next) {
        Work *copy = malloc(sizeof *copy);
        *copy = *work;
        copy->next = NULL;
        if ((*made)->last) (*made)->last->next = copy; else (*made)->first = copy;
        (*made)->last = copy;
    }
    return SUCCESS;
}
int cuGraphLaunch(Graph *graph, Stream *stream) {
    NEEDS_CONTEXT
    BREAKS_CAPTURE_OF(stream)
    for (Work *work = graph->first; work; work = work->next) put(stream, *work);
    add(&launches, 1);
    return SUCCESS;
}
int cuGraphDestroy(Graph *graph) { NEEDS_CONTEXT return destroy(graph); }
int cuGraphExecDestroy(Graph *graph) { NEEDS_CONTEXT return destroy(graph); }

int cuGetErrorString(int error, const char **text) {
    *text = error == OUT_OF_MEMORY ? "out of memory"
        : error == INVALID_CONTEXT ? "invalid device context"
        : error == INVALID_DEVICE ? "invalid device ordinal" : "error of the fake driver";
    return SUCCESS;
}
int cuGetErrorName(int error, const char **text) { return cuGetErrorString(error, text); }

/* As cuda-bindings finds its functions: by the name without a version. */
int cuGetProcAddress_v2(const char *symbol, void **function, int version, unsigned long long flags,
                        int *status) {
    (void)version, (void)flags;
    char versioned[128];
    snprintf(versioned, sizeof versioned, "%s_v2", symbol);
    static void *own;
    if (!own) {
        Dl_info info;
        dladdr((void *)fake_count, &info);
        own = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    }
    *function = dlsym(own, versioned);
    if (!*function) *function = dlsym(own, symbol);
    if (status) *status = !*function;
    return *function ? SUCCESS : NOT_FOUND;
}
