import { defineConfig } from 'vite'

// Everything lands in dist/ as index.html and assets/NAME-HASH.*, which the binary embeds. No inline script, no data
// URI and no preload helper, so that the strictest content security policy holds.
export default defineConfig({
  base: './',
  esbuild: { jsx: 'automatic', jsxImportSource: 'preact' },
  build: { target: 'es2022', assetsInlineLimit: 0, modulePreload: false, reportCompressedSize: false, chunkSizeWarningLimit: 400 },
  server: { host: '127.0.0.1', proxy: { '/api': 'http://127.0.0.1:8081' } },
})
