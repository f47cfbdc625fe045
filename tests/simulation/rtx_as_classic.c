/* What TensorRT's Python bindings link against, answered by TensorRT-RTX's libraries: both have the
   same interface, so that the bindings of TensorRT drive a real builder where there is no TensorRT.
   BUILDER and PARSER are the libraries, RTX_VERSION what the builder's asks its callers to name. */
#include <dlfcn.h>
#include <stddef.h>

static void *in(const char *library, const char *name)
{
    void *handle = dlopen(library, RTLD_NOW | RTLD_GLOBAL);
    return handle ? dlsym(handle, name) : NULL;
}

void *createInferBuilder_INTERNAL(void *logger, int version)
{
    void *(*create)(void *, int) = (void *(*)(void *, int))in(BUILDER, "createInferBuilder_INTERNAL");
    (void)version;
    return create ? create(logger, RTX_VERSION) : NULL;
}

void *createInferRuntime_INTERNAL(void *logger, int version)
{
    void *(*create)(void *, int) = (void *(*)(void *, int))in(BUILDER, "createInferRuntime_INTERNAL");
    (void)version;
    return create ? create(logger, RTX_VERSION) : NULL;
}

int getNvOnnxParserVersion(void)
{
    int (*version)(void) = (int (*)(void))in(PARSER, "getNvOnnxParserVersion");
    return version ? version() : 0;
}

void *createNvOnnxParser_INTERNAL(void *network, void *logger, int version)
{
    void *(*create)(void *, void *, int) =
        (void *(*)(void *, void *, int))in(PARSER, "createNvOnnxParser_INTERNAL");
    (void)version;
    return create ? create(network, logger, getNvOnnxParserVersion()) : NULL;
}

/* Linked against, and never called here. */
void *createInferRefitter_INTERNAL(void) { return NULL; }
void *createNvOnnxParserRefitter_INTERNAL(void) { return NULL; }
void *getBuilderPluginRegistry(void) { return NULL; }
void *getPluginRegistry(void) { return NULL; }
int initLibNvInferPlugins(void) { return 1; }
