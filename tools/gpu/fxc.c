// Compiles HLSL files with the d3dcompiler_47.dll beside it, as wgpu does for DirectX 12; see fxc.sh.

#include <stdio.h>
#include <windows.h>

// ID3DBlob, of which only what is used has a type.
typedef struct Blob {
  struct {
    void *unused[3];
    void *(WINAPI *data)(struct Blob *);
    SIZE_T(WINAPI *size)(struct Blob *);
  } *calls;
} Blob;

typedef HRESULT(WINAPI *Compile)(const void *source, SIZE_T size, const char *name, const void *defines, void *include,
                                 const char *entry, const char *target, UINT flags, UINT effect_flags, Blob **code,
                                 Blob **messages);

#define ENABLE_STRICTNESS (1 << 11)

static char source[4 << 20];

int main(int count, char **paths) {
  HMODULE library = LoadLibraryA("d3dcompiler_47.dll");
  Compile compile = (Compile)GetProcAddress(library, "D3DCompile");
  int failed = 0;
  for (int i = 1; i < count; i++) {
    FILE *file = fopen(paths[i], "rb");
    if (!file) {
      printf("%s: cannot be read\n", paths[i]);
      failed = 1;
      continue;
    }
    SIZE_T size = fread(source, 1, sizeof source, file);
    fclose(file);
    Blob *code = NULL, *messages = NULL;
    DWORD start = GetTickCount();
    HRESULT result = compile(source, size, paths[i], NULL, NULL, "main", "cs_5_1", ENABLE_STRICTNESS, 0, &code, &messages);
    printf("%s: %lu ms, ", paths[i], GetTickCount() - start);
    if (result == S_OK) {
      printf("%lu bytes\n", (unsigned long)code->calls->size(code));
    } else {
      printf("refused:\n%s\n", messages ? (char *)messages->calls->data(messages) : "");
      failed = 1;
    }
    fflush(stdout);
  }
  return failed;
}
