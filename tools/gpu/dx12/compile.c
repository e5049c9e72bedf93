// Compiles HLSL files with one of Microsoft's compilers, as wgpu does for DirectX 12; see ../dx12.sh.
//
//   compile.exe fxc | dxc FILE...

#include <stdio.h>
#include <string.h>
#include <windows.h>

// COM's interfaces, of which only what is called has a type.

typedef struct Blob { // ID3DBlob, IDxcBlob
  struct {
    void *unused[3];
    void *(WINAPI *data)(struct Blob *);
    SIZE_T(WINAPI *size)(struct Blob *);
  } *calls;
} Blob;

typedef struct Result { // IDxcResult
  struct {
    void *unused[3];
    HRESULT(WINAPI *status)(struct Result *, HRESULT *status);
    HRESULT(WINAPI *code)(struct Result *, Blob **code);
    HRESULT(WINAPI *messages)(struct Result *, Blob **messages);
  } *calls;
} Result;

typedef struct { // DxcBuffer
  const void *data;
  SIZE_T size;
  UINT encoding;
} Source;

typedef struct Compiler { // IDxcCompiler3
  struct {
    void *unused[3];
    HRESULT(WINAPI *compile)(struct Compiler *, const Source *, const wchar_t **arguments, UINT count, void *include,
                             const GUID *wanted, void **result);
  } *calls;
} Compiler;

typedef HRESULT(WINAPI *D3DCompile)(const void *source, SIZE_T size, const char *name, const void *defines, void *include,
                                    const char *entry, const char *target, UINT flags, UINT effect_flags, Blob **code,
                                    Blob **messages);
typedef HRESULT(WINAPI *DxcCreateInstance)(const GUID *class, const GUID *wanted, void **instance);

static const GUID DXC_COMPILER = {0x73e22d93, 0xe6ce, 0x47f3, {0xb5, 0xbf, 0xf0, 0x66, 0x4f, 0x39, 0xc1, 0xb0}};
static const GUID DXC_COMPILER_3 = {0x228b4687, 0x5a6a, 0x4730, {0x90, 0x0c, 0x97, 0x02, 0xb2, 0x20, 0x3f, 0x54}};
static const GUID DXC_RESULT = {0x58346cda, 0xdde7, 0x4497, {0x94, 0x61, 0x6f, 0x87, 0xaf, 0x5e, 0x06, 0x59}};

#define ENABLE_STRICTNESS (1 << 11)
#define UTF8 65001

static HRESULT with_fxc(const char *name, const Source *source, Blob **code, Blob **messages) {
  static D3DCompile compile;
  if (!compile) compile = (D3DCompile)GetProcAddress(LoadLibraryA("d3dcompiler_47.dll"), "D3DCompile");
  return compile(source->data, source->size, name, NULL, NULL, "main", "cs_5_1", ENABLE_STRICTNESS, 0, code, messages);
}

static HRESULT with_dxc(const Source *source, Blob **code, Blob **messages) {
  static Compiler *compiler;
  if (!compiler) {
    DxcCreateInstance create = (DxcCreateInstance)GetProcAddress(LoadLibraryA("dxcompiler.dll"), "DxcCreateInstance");
    HRESULT made = create(&DXC_COMPILER, &DXC_COMPILER_3, (void **)&compiler);
    if (made != S_OK) return made;
  }
  const wchar_t *arguments[] = {L"-E", L"main", L"-T", L"cs_6_6", L"-HV", L"2018", L"-no-warnings", L"-enable-16bit-types"};
  UINT count = sizeof arguments / sizeof *arguments;
  Result *result;
  HRESULT status = compiler->calls->compile(compiler, source, arguments, count, NULL, &DXC_RESULT, (void **)&result);
  if (status != S_OK) return status;
  result->calls->code(result, code);
  result->calls->messages(result, messages);
  result->calls->status(result, &status);
  return status;
}

static char text[4 << 20];

int main(int count, char **words) {
  int failed = 0;
  for (int i = 2; i < count; i++) {
    FILE *file = fopen(words[i], "rb");
    if (!file) {
      printf("%s: cannot be read\n", words[i]);
      failed = 1;
      continue;
    }
    Source source = {text, fread(text, 1, sizeof text, file), UTF8};
    fclose(file);
    Blob *code = NULL, *messages = NULL;
    DWORD start = GetTickCount();
    HRESULT status = strcmp(words[1], "fxc") ? with_dxc(&source, &code, &messages)
                                             : with_fxc(words[i], &source, &code, &messages);
    printf("%s: %lu ms, ", words[i], GetTickCount() - start);
    if (status == S_OK) {
      printf("%lu bytes\n", (unsigned long)code->calls->size(code));
    } else {
      printf("refused (%lx):\n%s\n", (unsigned long)status, messages ? (char *)messages->calls->data(messages) : "");
      failed = 1;
    }
    fflush(stdout);
  }
  return failed;
}
